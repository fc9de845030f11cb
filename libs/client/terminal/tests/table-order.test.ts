import { describe, expect, it } from "vitest";

import {
  fittingColumns,
  isSort,
  nextSort,
  sortKeys,
  targetIndex,
} from "../src/components/table/order.js";
import type { Column } from "../src/components/table/types.js";

interface Row {
  readonly name: string;
  readonly value: number | null;
}

const COLUMNS: Column<Row>[] = [
  {
    id: "name",
    header: "Name",
    minWidth: 100,
    cell: ({ name }) => name,
    sortValue: ({ name }) => name,
  },
  {
    id: "value",
    header: "Value",
    minWidth: 80,
    cell: ({ value }) => value,
    sortValue: ({ value }) => value,
    priority: 1,
  },
  { id: "extra", header: "Extra", minWidth: 80, cell: () => null, priority: 2 },
];

const ROWS = new Map<string, Row>([
  ["a", { name: "Z10", value: 2 }],
  ["b", { name: "Z9", value: null }],
  ["c", { name: "ä", value: -1 }],
  ["d", { name: "b", value: 2 }],
  ["e", { name: "B2", value: Number.NaN }],
]);
const KEYS = [...ROWS.keys()];
const order = (column: string, direction: "ascending" | "descending") =>
  sortKeys(KEYS, { column, direction }, COLUMNS, (key) => ROWS.get(key)).join("");

describe("sorting", () => {
  it("sorts numbers, equal ones in their own order, and rows without a value last either way", () => {
    expect(order("value", "ascending")).toBe("cadbe");
    expect(order("value", "descending")).toBe("adcbe");
  });

  it("sorts texts as people do: letters with accents, numbers in names", () => {
    expect(order("name", "ascending")).toBe("cdeba");
  });

  it("leaves the order alone without a sort, or with one of a column that is gone", () => {
    expect(sortKeys(KEYS, null, COLUMNS, (key) => ROWS.get(key))).toBe(KEYS);
    expect(
      sortKeys(KEYS, { column: "gone", direction: "ascending" }, COLUMNS, (key) => ROWS.get(key)),
    ).toBe(KEYS);
  });

  it("keeps rows whose data has not arrived", () => {
    expect(
      sortKeys(["x", "a"], { column: "value", direction: "ascending" }, COLUMNS, (key) =>
        ROWS.get(key),
      ),
    ).toEqual(["a", "x"]);
  });

  it("turns with each press, and ends with the third", () => {
    const first = nextSort(null, "value", "descending");
    const second = nextSort(first, "value", "descending");
    expect([first?.direction, second?.direction, nextSort(second, "value", "descending")]).toEqual([
      "descending",
      "ascending",
      null,
    ]);
    expect(nextSort(second, "name")).toEqual({ column: "name", direction: "ascending" });
  });

  it.each([
    [{}],
    ["value"],
    [{ column: "value" }],
    [{ column: 1, direction: "ascending" }],
    [undefined],
  ])("does not restore %j", (value) => {
    expect(isSort(value)).toBe(false);
  });
});

describe("columns that have room", () => {
  it.each([
    [260, ["name", "value", "extra"]],
    [259, ["name", "value"]],
    [120, ["name"]],
    [10, ["name"]],
  ])("in %d px", (width, ids) => {
    expect(fittingColumns(COLUMNS, width).map(({ id }) => id)).toEqual(ids);
  });
});

describe("keys of a table", () => {
  it.each([
    ["ArrowDown", 5, 6],
    ["ArrowDown", 99, 99],
    ["ArrowUp", 0, 0],
    ["PageDown", 5, 15],
    ["PageUp", 5, 0],
    ["Home", 50, 0],
    ["End", 50, 99],
  ])("%s goes from row %d to row %d of 100", (key, from, to) => {
    expect(targetIndex(key, from, 100, 10)).toBe(to);
  });

  it("has nowhere to go in an empty table, or by another key", () => {
    expect(targetIndex("End", 0, 0, 10)).toBeNull();
    expect(targetIndex("a", 0, 10, 10)).toBeNull();
  });
});
