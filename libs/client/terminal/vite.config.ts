import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

const CLIENT = fileURLToPath(new URL("../packages/client/src", import.meta.url));
const PAGE = fileURLToPath(new URL("index.html", import.meta.url));
const WORKER = `${CLIENT}/worker.ts`;

/** The edge behind `vite dev` and `vite preview`. */
const EDGE = process.env.TAPEWIRE_URL ?? "http://127.0.0.1:8000";
const proxy = Object.fromEntries(
  ["/api", "/sse", "/docs"].map((path) => [path, { target: EDGE, changeOrigin: true }]),
);

/** Modules that panels share. Dialogs are not among them: with React Aria they are loaded later. */
const isShared = (module: string) =>
  /\/(terminal\/src\/(components|format)|packages\/react\/src)\//.test(module) &&
  !/\/(symbol-|confirm-|form-)?dialog\.tsx$|\/react-aria\./.test(module);

/** Changes with the sources of the client: pages of one version of it share a worker. */
function clientId(): string {
  const hash = createHash("sha256");
  const files = readdirSync(CLIENT, { recursive: true, withFileTypes: true }).filter((entry) =>
    entry.isFile(),
  );
  for (const path of files.map(({ parentPath, name }) => `${parentPath}/${name}`).sort())
    hash.update(readFileSync(path));
  return hash.digest("hex").slice(0, 12);
}

export default defineConfig({
  plugins: [react()],
  resolve: { conditions: ["tapewire-source", "module", "browser", "development|production"] },
  define: { __CLIENT_ID__: JSON.stringify(clientId()) },
  server: { proxy },
  preview: { proxy },
  build: {
    outDir: "../../../services/edge/web/dist",
    emptyOutDir: true,
    target: "es2022",
    // These know light-dark() and the popover attribute.
    cssTarget: ["chrome123", "firefox125", "safari17.5"],
    sourcemap: false,
    // The policy of the pages allows no data: URLs.
    assetsInlineLimit: 0,
    // All browsers that the pages need know modulepreload; the polyfill would be one more script.
    modulePreload: { polyfill: false },
    rollupOptions: {
      input: { page: PAGE, ...(existsSync(WORKER) && { worker: WORKER }) },
      output: {
        // The shared worker has a stable address: tabs find each other by it.
        entryFileNames: ({ name }) => (name === "worker" ? "worker.js" : "assets/[name]-[hash].js"),
        // What panels share is one file: many small ones compress worse, and each is a request.
        codeSplitting: {
          includeDependenciesRecursively: false,
          groups: [{ name: "shared", test: isShared, minShareCount: 2 }],
        },
      },
    },
  },
});
