/** Every key of the terminal, in one table: the handler, the help dialog and the tests read it. */

import { PANELS, type PanelId } from "../panels/registry.js";

export type CommandId =
  | "search-symbol"
  | "buy"
  | "sell"
  | "cancel-order"
  | "help"
  | "close"
  | `go:${PanelId}`;

export interface KeyBinding {
  readonly command: CommandId;
  /** As the help shows them, alternatives side by side. A sequence has a space: "g w". */
  readonly keys: readonly string[];
  readonly text: string;
}

export const KEY_TABLE: readonly KeyBinding[] = [
  { command: "search-symbol", keys: ["/", "Ctrl+K"], text: "Find a symbol" },
  { command: "buy", keys: ["b"], text: "Buy the selected symbol: go to the order ticket" },
  { command: "sell", keys: ["s"], text: "Sell the selected symbol: go to the order ticket" },
  { command: "cancel-order", keys: ["x"], text: "Cancel the selected order" },
  { command: "help", keys: ["?"], text: "Show the keys" },
  { command: "close", keys: ["Esc"], text: "Close what is open, or go back to the page" },
  ...PANELS.flatMap(({ id, key, title }): KeyBinding[] =>
    key === undefined ? [] : [{ command: `go:${id}`, keys: [`g ${key}`], text: `Go to ${title}` }],
  ),
];

/** Keys that tables have; they work on a focused row and are listed for the help alone. */
export const TABLE_KEYS: readonly Omit<KeyBinding, "command">[] = [
  { keys: ["↑", "↓", "Home", "End", "Page Up", "Page Down"], text: "Go to another row of a table" },
  { keys: ["→", "←"], text: "Go to the buttons of the row, and back" },
  { keys: ["Enter"], text: "Act on the row" },
  { keys: ["Space"], text: "Select the row" },
];
