/**
 * Checks what another team would install: packs the packages, then judges the tarballs.
 *
 *     npm run pack:check
 *
 * The packages are copied, built and packed in a folder of their own, which leaves the workspace as
 * it is. publint and attw look for faults of the exports and types; this program, for files that are
 * missing or that nobody needs. The tarballs stay in build/packs. Start reading at `main`.
 */

import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, rmSync, symlinkSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const WORKSPACE = dirname(fileURLToPath(import.meta.url));
const COPY = join(WORKSPACE, "build", "pack");
const TARBALLS = join(WORKSPACE, "build", "packs");
const PACKAGES = ["client", "react"];
const SHARED = ["package.json", "tsconfig.base.json"];
const LEFT_OUT = new Set(["node_modules", "dist", "build"]);
const NEEDED = [
  "LICENSE",
  "README.md",
  "package.json",
  "dist/index.js",
  "dist/index.d.ts",
  "src/index.ts",
];
const UNWANTED =
  /(^|\/)(tests?|conformance|build|node_modules)\/|\.test\.|tsbuildinfo|\.fingerprint/;

interface Packed {
  readonly filename: string;
  readonly files: readonly { readonly path: string }[];
}

function main(): void {
  copyWorkspace();
  rmSync(TARBALLS, { recursive: true, force: true });
  mkdirSync(TARBALLS, { recursive: true });
  const faults = PACKAGES.flatMap((name) => check(name));
  for (const fault of faults) process.stderr.write(`pack-check: ${fault}\n`);
  process.exitCode = faults.length > 0 ? 1 : 0;
}

/** Copy the packages and link what npm installed; they find each other's copies. */
function copyWorkspace(): void {
  rmSync(COPY, { recursive: true, force: true });
  const modules = join(COPY, "node_modules");
  mkdirSync(join(modules, "@tapewire"), { recursive: true });
  for (const name of readdirSync(join(WORKSPACE, "node_modules"))) {
    if (name !== "@tapewire")
      symlinkSync(join(WORKSPACE, "node_modules", name), join(modules, name));
  }
  for (const name of PACKAGES) {
    const filter = (path: string): boolean => !LEFT_OUT.has(basename(path));
    cpSync(join(WORKSPACE, "packages", name), join(COPY, "packages", name), {
      recursive: true,
      filter,
    });
    symlinkSync(join(COPY, "packages", name), join(modules, "@tapewire", name));
  }
  for (const name of SHARED) cpSync(join(WORKSPACE, name), join(COPY, name));
}

function check(name: string): string[] {
  const folder = join(COPY, "packages", name);
  const packed = run(folder, "npm", "pack", "--json", "--pack-destination", TARBALLS);
  if (packed.status !== 0) return [`${name} cannot be packed:\n${packed.output}`];
  const [{ filename, files }] = JSON.parse(packed.stdout.slice(packed.stdout.indexOf("["))) as [
    Packed,
  ];
  const paths = files.map(({ path }) => path);
  const tarball = join(TARBALLS, filename);
  const publint = run(WORKSPACE, "npx", "publint", "run", tarball, "--strict");
  const attw = run(
    WORKSPACE,
    "npx",
    "attw",
    tarball,
    "--profile",
    "esm-only",
    "--no-emoji",
    "--no-color",
  );
  process.stdout.write(`${filename}: ${paths.length} files\n${publint.output}${attw.output}`);
  return [
    ...NEEDED.filter((path) => !paths.includes(path)).map((path) => `${filename} has no ${path}`),
    ...paths.filter((path) => UNWANTED.test(path)).map((path) => `${filename} has ${path}`),
    ...(publint.status === 0 ? [] : [`${filename}: publint found faults`]),
    ...(attw.status === 0 ? [] : [`${filename}: attw found faults`]),
  ];
}

function run(
  cwd: string,
  ...command: string[]
): { status: number | null; stdout: string; output: string } {
  const [program = "", ...args] = command;
  const { status, stdout, stderr } = spawnSync(program, args, { cwd, encoding: "utf8" });
  return { status, stdout, output: stdout + stderr };
}

main();
