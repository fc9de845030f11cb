/** Which command a key means: a pure function of the key and of the one before it. */

import { type CommandId, KEY_TABLE, type KeyBinding } from "./key-table.js";

/** A sequence such as "g w" is given up after this. */
export const SEQUENCE_MS = 1_500;

export interface KeyPress {
  readonly key: string;
  readonly ctrlKey: boolean;
  readonly metaKey: boolean;
  readonly altKey: boolean;
  readonly isRepeat: boolean;
  /** Epoch milliseconds. */
  readonly at: number;
}

export interface Prefix {
  readonly key: string;
  readonly at: number;
}

export interface KeyMatch {
  readonly command: CommandId | null;
  /** The key was the beginning of a sequence. */
  readonly prefix: Prefix | null;
}

const NOTHING: KeyMatch = { command: null, prefix: null };

/**
 * @param areLettersOn  whether keys without Ctrl have commands (a user may switch them off)
 */
export function matchKey(
  press: KeyPress,
  prefix: Prefix | null,
  areLettersOn = true,
  table: readonly KeyBinding[] = KEY_TABLE,
): KeyMatch {
  if (press.isRepeat || press.altKey) return NOTHING;
  const name = nameOf(press);
  const isModified = press.ctrlKey || press.metaKey;
  if (!isModified && !areLettersOn && name !== "Esc") return NOTHING;
  const isSequence = prefix !== null && !isModified && press.at - prefix.at <= SEQUENCE_MS;
  const wanted = isSequence ? `${prefix.key} ${name}` : name;
  const binding = table.find(({ keys }) => keys.includes(wanted));
  if (binding) return { command: binding.command, prefix: null };
  const isPrefix =
    !isSequence &&
    !isModified &&
    table.some(({ keys }) => keys.some((keyName) => keyName.startsWith(`${name} `)));
  return isPrefix ? { command: null, prefix: { key: name, at: press.at } } : NOTHING;
}

/** A command key on a Mac counts as Ctrl. */
function nameOf({ key, ctrlKey, metaKey }: KeyPress): string {
  if (key === "Escape") return "Esc";
  const letter =
    key.length === 1 ? (ctrlKey || metaKey ? key.toUpperCase() : key.toLowerCase()) : key;
  return ctrlKey || metaKey ? `Ctrl+${letter}` : letter;
}

const TYPING_ROLES = new Set(["textbox", "combobox", "searchbox", "spinbutton"]);
const TYPING_INPUTS = new Set([
  "text",
  "search",
  "number",
  "email",
  "password",
  "tel",
  "url",
  "date",
  "time",
  "datetime-local",
  "month",
  "week",
]);

/** Whether keys go to a field, so that none of them is a command. */
export function isTyping(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (
    target.isContentEditable ||
    target instanceof HTMLTextAreaElement ||
    target instanceof HTMLSelectElement
  )
    return true;
  if (target instanceof HTMLInputElement) return TYPING_INPUTS.has(target.type);
  return TYPING_ROLES.has(target.getAttribute("role") ?? "");
}
