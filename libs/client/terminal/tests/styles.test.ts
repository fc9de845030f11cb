import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, it } from "vitest";

const SOURCES = join(import.meta.dirname, "../src");
const FILES = readdirSync(SOURCES, { recursive: true, encoding: "utf8" });

/** Styles with the classes that they name. */
const STYLES = FILES.filter((file) => file.endsWith(".css")).map((file) => ({
  folder: dirname(file),
  classes: new Set(textOf(file).match(/(?<=\.)[a-z][\w-]*/g)),
}));

function textOf(file: string): string {
  return readFileSync(join(SOURCES, file), "utf8").replace(/\/\*[\s\S]*?\*\//g, "");
}

/** The classes of literal `className` attributes. */
function usedClasses(file: string): string[] {
  const attributes = textOf(file).matchAll(/className=(?:"([^"]*)"|\{`([^`]*)`\})/g);
  return [...attributes]
    .flatMap(([, plain, template]) => (plain ?? template ?? "").split(/\s+/))
    .filter((name) => /^[a-z][\w-]*$/.test(name));
}

it.each(FILES.filter((file) => file.endsWith(".tsx")))(
  "%s needs no style of a panel that may not be loaded",
  (file) => {
    const foreign = usedClasses(file).filter((name) => {
      const styling = STYLES.filter(({ classes }) => classes.has(name));
      return (
        styling.length > 0 &&
        styling.every(({ folder }) => folder.startsWith("panels") && folder !== dirname(file))
      );
    });
    expect(foreign).toEqual([]);
  },
);
