/**
 * The places of panels on the desk: pure functions. The desk has 24 columns and any number of rows;
 * panels never overlap, and each moves up as far as it can.
 */

import {
  PANELS,
  type PanelDefinition,
  type PanelId,
  type PanelPlace,
  type WorkspaceId,
} from "../../panels/registry.js";

export const COLUMNS = 24;
/** The smallest size of a panel, in cells. */
export const MIN_WIDTH = 4;
export const MIN_HEIGHT = 4;
const MAX_HEIGHT = 60;
/** Raise it when stored layouts no longer fit the panels: users then begin with the default again. */
export const LAYOUT_VERSION = 1;

export interface PlacedPanel extends PanelPlace {
  readonly id: PanelId;
}

/** The order is the order in the document, and so that of the Tab key. */
export type Layout = readonly PlacedPanel[];

export interface StoredLayout {
  readonly version: number;
  readonly panels: Layout;
}

export type LayoutAction =
  /** Give a panel a place; others make room. */
  | { readonly type: "place"; readonly id: PanelId; readonly place: PanelPlace }
  /** Move by cells. */
  | { readonly type: "move"; readonly id: PanelId; readonly dx: number; readonly dy: number }
  /** Grow or shrink by cells. */
  | { readonly type: "resize"; readonly id: PanelId; readonly dw: number; readonly dh: number }
  | { readonly type: "open"; readonly id: PanelId }
  | { readonly type: "close"; readonly id: PanelId }
  /** Bring the order of the document in line with the places, after a series of moves. */
  | { readonly type: "settle" }
  | { readonly type: "reset"; readonly workspace: WorkspaceId };

export function defaultLayout(
  workspace: WorkspaceId,
  panels: readonly PanelDefinition[] = PANELS,
): Layout {
  const placed = panels.flatMap(({ id, places }) => {
    const place = places[workspace];
    return place ? [{ id, ...place }] : [];
  });
  return inReadingOrder(compact(placed));
}

export function reduceLayout(layout: Layout, action: LayoutAction): Layout {
  switch (action.type) {
    case "reset":
      return defaultLayout(action.workspace);
    case "close":
      return compact(layout.filter(({ id }) => id !== action.id));
    case "open":
      return layout.some(({ id }) => id === action.id) ? layout : open(layout, action.id);
    case "settle":
      return inReadingOrder(layout);
    case "place":
      return place(layout, action.id, action.place);
    case "move": {
      const panel = find(layout, action.id);
      return panel ? move(layout, panel, action.dx, action.dy) : layout;
    }
    case "resize": {
      const panel = find(layout, action.id);
      if (!panel) return layout;
      return place(layout, panel.id, {
        ...panel,
        width: panel.width + action.dw,
        height: panel.height + action.dh,
      });
    }
  }
}

function find(layout: Layout, id: PanelId): PlacedPanel | undefined {
  return layout.find((panel) => panel.id === id);
}

/** Put a panel at a place within the desk. It keeps the place; others move down and then up again. */
function place(layout: Layout, id: PanelId, wanted: PanelPlace): Layout {
  const current = find(layout, id);
  if (!current) return layout;
  const moved: PlacedPanel = { id, ...clamp(wanted) };
  const fixed: PlacedPanel[] = [moved];
  for (const other of inReadingOrder(layout)) {
    if (other.id === id) continue;
    let { y } = other;
    const hit = () => fixed.find((candidate) => overlap(candidate, { ...other, y }));
    for (let below = hit(); below !== undefined; below = hit()) y = below.y + below.height;
    fixed.push({ ...other, y });
  }
  return inOrderOf(layout, compact(fixed));
}

/**
 * Move by cells. Upwards and downwards a panel changes places with what is there: since panels rise as
 * far as they can, a single cell would have no effect.
 */
function move(layout: Layout, panel: PlacedPanel, dx: number, dy: number): Layout {
  if (dy === 0) return place(layout, panel.id, { ...panel, x: panel.x + dx });
  const inTheWay = layout.filter((other) => other.id !== panel.id && overlapsColumns(other, panel));
  if (dy < 0) {
    const above = inTheWay
      .filter((other) => other.y + other.height <= panel.y)
      .sort((a, b) => b.y - a.y)[0];
    return above ? place(layout, panel.id, { ...panel, y: above.y }) : layout;
  }
  const below = inTheWay
    .filter((other) => other.y >= panel.y + panel.height)
    .sort((a, b) => a.y - b.y)[0];
  if (!below) return layout;
  // The one below rises to the place of the moved one.
  return place(place(layout, panel.id, { ...panel, y: below.y + below.height }), below.id, {
    ...below,
    y: panel.y,
  });
}

function open(layout: Layout, id: PanelId): Layout {
  const bottom = Math.max(0, ...layout.map(({ y, height }) => y + height));
  return compact([...layout, { id, x: 0, y: bottom, width: COLUMNS / 2, height: 12 }]);
}

function clamp({ x, y, width, height }: PanelPlace): PanelPlace {
  const fitWidth = between(width, MIN_WIDTH, COLUMNS);
  return {
    width: fitWidth,
    height: between(height, MIN_HEIGHT, MAX_HEIGHT),
    x: between(x, 0, COLUMNS - fitWidth),
    y: Math.max(0, Math.round(y)),
  };
}

function between(value: number, least: number, most: number): number {
  return Math.min(Math.max(Math.round(value), least), most);
}

/** Move every panel up as far as it can, the uppermost first. The order of the list stays. */
function compact(panels: readonly PlacedPanel[]): Layout {
  const placed: PlacedPanel[] = [];
  for (const panel of inReadingOrder(panels)) {
    let { y } = panel;
    while (y > 0 && !placed.some((other) => overlap(other, { ...panel, y: y - 1 }))) y -= 1;
    placed.push({ ...panel, y });
  }
  return inOrderOf(panels, placed);
}

function inOrderOf(order: readonly PlacedPanel[], panels: readonly PlacedPanel[]): Layout {
  const byId = new Map(panels.map((panel) => [panel.id, panel]));
  return order.map((panel) => byId.get(panel.id) ?? panel);
}

function inReadingOrder(panels: readonly PlacedPanel[]): Layout {
  return [...panels].sort((a, b) => a.y - b.y || a.x - b.x);
}

function overlapsColumns(a: PanelPlace, b: PanelPlace): boolean {
  return a.x < b.x + b.width && b.x < a.x + a.width;
}

export function overlap(a: PanelPlace, b: PanelPlace): boolean {
  return overlapsColumns(a, b) && a.y < b.y + b.height && b.y < a.y + a.height;
}

/** Whether a stored value is a layout of this version. Panels that no longer exist are dropped by `restore`. */
export function isStoredLayout(value: unknown): value is StoredLayout {
  const { version, panels } = (value ?? {}) as Partial<StoredLayout>;
  return version === LAYOUT_VERSION && Array.isArray(panels) && panels.every(isPlacedPanel);
}

function isPlacedPanel(value: unknown): boolean {
  const { id, x, y, width, height } = (value ?? {}) as Partial<PlacedPanel>;
  return typeof id === "string" && [x, y, width, height].every(isCellNumber);
}

function isCellNumber(value: unknown): boolean {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value < 10_000;
}

/** A stored layout as it can be shown now: known panels, each once, within the desk, without overlaps. */
export function restoreLayout(
  stored: StoredLayout,
  panels: readonly PanelDefinition[] = PANELS,
): Layout {
  const known = new Set(panels.map(({ id }) => id));
  const unique = new Map(
    stored.panels.filter(({ id }) => known.has(id)).map((panel) => [panel.id, panel]),
  );
  let layout: Layout = [];
  for (const panel of inReadingOrder([...unique.values()])) {
    const fitting = { id: panel.id, ...clamp(panel) };
    layout = place([...layout, fitting], panel.id, fitting);
  }
  return layout;
}
