/**
 * What the shell offers to every panel: the selected symbol, the order ticket, messages, formats.
 *
 * A panel reads data through `@tapewire/react` and acts on the rest of the page through `useTerminal`.
 */

import { createContext, use } from "react";

import type { Formats } from "../format/index.js";
import type { PanelId } from "../panels/registry.js";

export type Side = "buy" | "sell";

/** What a panel puts into the order ticket. What is left out keeps what the ticket has. */
export interface TicketDraft {
  readonly symbol?: string;
  readonly side?: Side;
  readonly qty?: number;
  /** A limit price; the ticket becomes a limit order. */
  readonly price?: number;
}

/** One call of `openTicket`; `number` grows by one with each. */
export interface TicketRequest extends TicketDraft {
  readonly number: number;
}

export interface ToastContent {
  readonly title: string;
  readonly text?: string;
  readonly kind?: "info" | "good" | "warn" | "bad";
  readonly action?: { readonly label: string; readonly onPress: () => void };
  /** A later toast with the same key replaces this one. */
  readonly key?: string;
}

export interface Terminal {
  /** The symbol that ticket, chart and book show; null before the first price. */
  readonly symbol: string | null;
  selectSymbol(symbol: string): void;
  /** The newest call of `openTicket`. The ticket panel takes it over when `number` changes. */
  readonly ticketRequest: TicketRequest | null;
  /** Show the order ticket, filled in, and move the focus to it. */
  openTicket(draft: TicketDraft): void;
  /** Show a panel, wherever it is, and move the focus to its heading. */
  openPanel(id: PanelId): void;
  /** Go to a path of the terminal, such as `/strategies`; `/sign-in` opens the sign-in. */
  navigate(path: string): void;
  /** Show a message for some seconds; screen readers hear it as well. */
  showToast(toast: ToastContent): void;
  /** Say something to screen readers alone. */
  announce(text: string, politeness?: "polite" | "assertive"): void;
  readonly formats: Formats;
}

export const TerminalContext = createContext<Terminal | null>(null);

/** @throws Error outside of the shell */
export function useTerminal(): Terminal {
  const terminal = use(TerminalContext);
  if (terminal === null) throw new Error("useTerminal is called outside of TerminalContext");
  return terminal;
}

/** The formats alone: cells by the hundred use them, and are not rendered again for another symbol. */
export const FormatsContext = createContext<Formats | null>(null);

/** @throws Error outside of the shell */
export function useFormats(): Formats {
  const formats = use(FormatsContext);
  if (formats === null) throw new Error("useFormats is called outside of FormatsContext");
  return formats;
}
