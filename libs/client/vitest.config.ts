import { defineConfig } from "vitest/config";

export default defineConfig({
  resolve: { conditions: ["tapewire-source", "module", "browser", "development|production"] },
  ssr: { resolve: { conditions: ["tapewire-source", "module", "node", "development|production"] } },
  test: { include: ["{packages/*,terminal}/{src,tests}/**/*.test.{ts,tsx}"] },
});
