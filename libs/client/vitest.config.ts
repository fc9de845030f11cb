import { defineConfig } from "vitest/config";

export default defineConfig({
  resolve: { conditions: ["source", "module", "browser", "development|production"] },
  ssr: { resolve: { conditions: ["source", "module", "node", "development|production"] } },
  test: { include: ["{packages/*,terminal}/{src,tests}/**/*.test.{ts,tsx}"] },
});
