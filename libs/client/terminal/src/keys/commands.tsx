/**
 * Commands of keys. The shell has one handler for the page; whoever can carry out a command registers
 * it with `useKeyCommand`, and the one that registered last is asked first.
 */

import { createContext, use, useEffect, useRef, useState } from "react";

import type { CommandId } from "./key-table.js";
import { isTyping, matchKey, type Prefix } from "./match-key.js";

/** Returns false if it has nothing to do; an earlier handler is then asked. */
export type CommandHandler = () => false | undefined;

export class CommandRegistry {
  readonly #handlers = new Map<CommandId, CommandHandler[]>();

  register(command: CommandId, handler: CommandHandler): () => void {
    const handlers = this.#of(command);
    handlers.push(handler);
    return () => remove(handlers, handler);
  }

  /** As `register`, but asked when no other handler has anything to do. */
  registerLast(command: CommandId, handler: CommandHandler): () => void {
    const handlers = this.#of(command);
    handlers.unshift(handler);
    return () => remove(handlers, handler);
  }

  /** @returns whether somebody carried it out */
  run(command: CommandId): boolean {
    const handlers = this.#handlers.get(command) ?? [];
    return [...handlers].reverse().some((handler) => handler() !== false);
  }

  #of(command: CommandId): CommandHandler[] {
    const handlers = this.#handlers.get(command) ?? [];
    this.#handlers.set(command, handlers);
    return handlers;
  }
}

function remove(handlers: CommandHandler[], handler: CommandHandler): void {
  const index = handlers.indexOf(handler);
  if (index >= 0) handlers.splice(index, 1);
}

export const CommandContext = createContext<CommandRegistry | null>(null);

/** Carry out a command of the key table while the component is there. */
export function useKeyCommand(command: CommandId, handler: CommandHandler): void {
  const registry = use(CommandContext);
  const newest = useRef(handler);
  useEffect(() => {
    newest.current = handler;
  });
  useEffect(() => registry?.register(command, () => newest.current()), [registry, command]);
}

/**
 * Listen to the page's keys. None but Esc has a command while somebody types, and none while a dialog or
 * a popover is open.
 *
 * @param isDialogDue  a dialog was asked for and may still be loading: keys are meant for it
 */
export function useKeyboard(
  registry: CommandRegistry,
  areLettersOn: boolean,
  isDialogDue: boolean,
): void {
  useEffect(() => {
    let prefix: Prefix | null = null;
    const handle = (event: KeyboardEvent) => {
      const isTyped = isTyping(event.target) && !leavesField(event);
      const isBlocked = event.defaultPrevented || event.isComposing || isTyped;
      if (isBlocked || isDialogDue || document.querySelector(".dialog, :popover-open") !== null) {
        prefix = null;
        return;
      }
      if (["Shift", "Control", "Alt", "Meta"].includes(event.key)) return;
      const { key, ctrlKey, metaKey, altKey, repeat } = event;
      const match = matchKey(
        { key, ctrlKey, metaKey, altKey, isRepeat: repeat, at: Date.now() },
        prefix,
        areLettersOn,
      );
      prefix = match.prefix;
      if (match.command !== null && registry.run(match.command)) event.preventDefault();
    };
    addEventListener("keydown", handle);
    return () => removeEventListener("keydown", handle);
  }, [registry, areLettersOn, isDialogDue]);
}

/** Esc goes from a field back to the page, where letters are commands; a search that has text is cleared first. */
function leavesField({ key, target }: KeyboardEvent): boolean {
  const isFilledSearch =
    target instanceof HTMLInputElement && target.type === "search" && target.value !== "";
  return key === "Escape" && !isFilledSearch;
}

/** One registry for the life of the page. */
export function useCommandRegistry(): CommandRegistry {
  const [registry] = useState(() => new CommandRegistry());
  return registry;
}
