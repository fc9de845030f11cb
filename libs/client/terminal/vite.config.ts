import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

export default defineConfig({
  plugins: [react()],
  resolve: { conditions: ["tapewire-source", "module", "browser", "development|production"] },
  build: {
    outDir: "../../../services/edge/web/dist",
    emptyOutDir: true,
    target: "es2022",
    sourcemap: false,
    // The policy of the pages allows no data: URLs.
    assetsInlineLimit: 0,
  },
});
