import { describe, expect, it } from "vitest";

import {
  COLUMNS,
  isStoredLayout,
  LAYOUT_VERSION,
  type Layout,
  type LayoutAction,
  MIN_HEIGHT,
  MIN_WIDTH,
  overlap,
  reduceLayout,
  restoreLayout,
} from "../src/app/desk/layout.js";
import type { PanelDefinition, PanelId } from "../src/panels/registry.js";

const START: Layout = [
  { id: "watchlist", x: 0, y: 0, width: 8, height: 10 },
  { id: "chart", x: 8, y: 0, width: 10, height: 10 },
  { id: "ticket", x: 18, y: 0, width: 6, height: 20 },
  { id: "blotter", x: 0, y: 10, width: 18, height: 10 },
];

const placeOf = (layout: Layout, id: PanelId) => {
  const { x, y, width, height } = layout.find((panel) => panel.id === id)!;
  return { x, y, width, height };
};

function expectSound(layout: Layout): void {
  for (const [index, panel] of layout.entries()) {
    expect(panel.x).toBeGreaterThanOrEqual(0);
    expect(panel.x + panel.width).toBeLessThanOrEqual(COLUMNS);
    expect(panel.width).toBeGreaterThanOrEqual(MIN_WIDTH);
    expect(panel.height).toBeGreaterThanOrEqual(MIN_HEIGHT);
    for (const other of layout.slice(index + 1))
      expect(overlap(panel, other), `${panel.id} and ${other.id}`).toBe(false);
    const isResting =
      panel.y === 0 ||
      layout.some((other) => other !== panel && overlap(other, { ...panel, y: panel.y - 1 }));
    expect(isResting, `${panel.id} is as high as it can be`).toBe(true);
  }
}

describe("the layout of the desk", () => {
  it("swaps two panels when one is moved up or down", () => {
    const up = reduceLayout(START, { type: "move", id: "blotter", dx: 0, dy: -1 });
    expect(placeOf(up, "blotter").y).toBe(0);
    expect(placeOf(up, "chart").y).toBe(10);
    const down = reduceLayout(START, { type: "move", id: "watchlist", dx: 0, dy: 1 });
    expect(placeOf(down, "blotter").y).toBeLessThan(placeOf(down, "watchlist").y);
    expectSound(up);
    expectSound(down);
  });

  it("pushes the neighbour down when a panel grows, and lets it rise again", () => {
    const grown = reduceLayout(START, { type: "resize", id: "watchlist", dw: 4, dh: 0 });
    expect(placeOf(grown, "watchlist").width).toBe(12);
    expect(placeOf(grown, "chart").y).toBe(10);
    expectSound(grown);
    const closed = reduceLayout(grown, { type: "close", id: "watchlist" });
    expect(placeOf(closed, "chart").y).toBe(0);
    expectSound(closed);
  });

  it("keeps panels within the desk and at a size that shows something", () => {
    const moved = reduceLayout(START, {
      type: "place",
      id: "chart",
      place: { x: 90, y: -5, width: 1, height: 0 },
    });
    expect(placeOf(moved, "chart")).toEqual({
      x: COLUMNS - MIN_WIDTH,
      y: 0,
      width: MIN_WIDTH,
      height: MIN_HEIGHT,
    });
    expectSound(moved);
  });

  it("opens a panel once, below the others, and ignores one that is not there", () => {
    const opened = reduceLayout(START, { type: "open", id: "positions" });
    expect(placeOf(opened, "positions").y).toBe(20);
    expect(reduceLayout(opened, { type: "open", id: "positions" })).toBe(opened);
    expect(reduceLayout(START, { type: "move", id: "items", dx: 1, dy: 0 })).toBe(START);
  });

  it("keeps the order of the document during moves, and sorts it when they end", () => {
    const moved = reduceLayout(START, { type: "move", id: "blotter", dx: 0, dy: -1 });
    expect(moved.map(({ id }) => id)).toEqual(START.map(({ id }) => id));
    expect(reduceLayout(moved, { type: "settle" }).map(({ id }) => id)).toEqual([
      "blotter",
      "ticket",
      "watchlist",
      "chart",
    ]);
  });

  it("has no overlap after any series of actions", () => {
    const random = mulberry32(7);
    const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)]!;
    const ids: PanelId[] = ["watchlist", "chart", "ticket", "blotter", "positions", "items"];
    let layout = START;
    for (let step = 0; step < 2_000; step += 1) {
      const id = pick(ids);
      const action: LayoutAction = pick<() => LayoutAction>([
        () => ({ type: "move", id, dx: Math.floor(random() * 9) - 4, dy: pick([-1, 0, 1]) }),
        () => ({
          type: "resize",
          id,
          dw: Math.floor(random() * 9) - 4,
          dh: Math.floor(random() * 9) - 4,
        }),
        () => ({
          type: "place",
          id,
          place: {
            x: random() * 30 - 3,
            y: random() * 60 - 3,
            width: random() * 30,
            height: random() * 40,
          },
        }),
        () => ({ type: "open", id }),
        () => ({ type: "settle" }),
        ...(random() < 0.2 ? [(): LayoutAction => ({ type: "close", id })] : []),
      ])();
      layout = reduceLayout(layout, action);
      expectSound(layout);
    }
  });
});

describe("a remembered layout", () => {
  const known = ["watchlist", "chart", "ticket", "blotter"].map((id) => ({
    id,
  })) as unknown as PanelDefinition[];

  it("is restored as it was", () => {
    expect(restoreLayout({ version: LAYOUT_VERSION, panels: START }, known)).toEqual(START);
  });

  it("loses panels that are gone or double, and overlaps", () => {
    const stored = [
      ...START,
      START[0]!,
      { ...START[1]!, id: "gone" as PanelId },
      { ...START[3]!, x: 2, y: 3 },
    ];
    const restored = restoreLayout({ version: LAYOUT_VERSION, panels: stored }, known);
    expect(restored.map(({ id }) => id).sort()).toEqual([
      "blotter",
      "chart",
      "ticket",
      "watchlist",
    ]);
    expectSound(restored);
  });

  it.each([
    null,
    [],
    { version: LAYOUT_VERSION - 1, panels: START },
    { version: LAYOUT_VERSION, panels: [{ ...START[0], x: "0" }] },
    { version: LAYOUT_VERSION, panels: [{ ...START[0], y: 1e9 }] },
    { version: LAYOUT_VERSION, panels: [{ ...START[0], height: Number.NaN }] },
  ])("is refused when it is of another version or kind: %j", (value) => {
    expect(isStoredLayout(value)).toBe(false);
  });
});

function mulberry32(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}
