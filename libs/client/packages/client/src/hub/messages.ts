/**
 * The messages between a hub and its tabs. They are plain data, as `postMessage` copies it.
 *
 * A hub sends numbered frames through an outlet: the port of one tab, or a channel that many tabs
 * read. A tab that misses a number asks for its views again, therefore no transport needs to be
 * reliable. `term` orders hubs: a tab that has seen a hub ignores those of lower terms.
 */

import type { ConnectionStatus, StreamReset } from "../interfaces.js";
import type { StreamEvent, TopicView } from "../source.js";

/** Tabs whose builds have another version do not share a connection. */
export const PROTOCOL = 1;

/** A hub sends each of its tabs something at least this often. */
export const HEARTBEAT_MS = 300;
/** A tab that hears nothing for this long asks the hub whether it is there. */
export const PING_MS = 600;
/** A tab that hears nothing for this long shows no price as current, and seeks another hub. */
export const SILENCE_MS = 1_250;
/** A frame, at 60 frames a second. */
export const FRAME_MS = 16;
/** A hidden tab receives events this often. */
export const HIDDEN_FRAME_MS = 1_000;
/** Topics that nobody wants any more stay open for this time. */
export const LINGER_MS = 5_000;
/** A tab that has said nothing for this long is dropped. */
export const TAB_TIMEOUT_MS = 90_000;
/** A tab says at least this often that it is there. */
export const TAB_INTERVAL_MS = 5_000;

/** Whose session the browser has, and when (epoch milliseconds) a tab asked for it. */
export interface UserReport {
  /** null: nobody is signed in, or it cannot be found out at the moment. */
  readonly userId: string | null;
  readonly at: number;
}

/** What a tab is and wants. It replaces what the hub knows of the tab. */
export interface TabState {
  readonly kind: "tab";
  readonly tab: string;
  /** The name of its lock, another one each time that its page comes back. */
  readonly presence: string;
  readonly wants: readonly string[];
  /** The names of wanted views that the tab asks the hub to send. */
  readonly needs: readonly string[];
  /** It follows no frames yet: the hub answers at once with `views`, even if they are none. */
  readonly isNew: boolean;
  /** The position of the stream up to which its views are complete, "" before the first frame. */
  readonly position: string;
  /** The names of its complete views: other tabs can continue from them. */
  readonly has: readonly string[];
  /** null: not known yet. */
  readonly user: UserReport | null;
  readonly isVisible: boolean;
  readonly offersToAnnounce: boolean;
}

export type TabMessage =
  | TabState
  | {
      readonly kind: "seed";
      readonly tab: string;
      readonly views: Readonly<Record<string, TopicView>>;
    }
  | { readonly kind: "token"; readonly tab: string; readonly token: string | null }
  | { readonly kind: "ping"; readonly tab: string }
  | { readonly kind: "retry"; readonly tab: string }
  | { readonly kind: "bye"; readonly tab: string };

/** What every message of a hub says. */
export interface HubHeader {
  readonly term: number;
  readonly outlet: string;
  /** Epoch milliseconds. A message that was held up does not show that the hub is alive now. */
  readonly sentAt: number;
  /** The position of the stream, with everything that this message brings. */
  readonly position: string;
  readonly status: ConnectionStatus;
  readonly user: UserReport | null;
  readonly lastEventAt: number | null;
  readonly lastReset: StreamReset | null;
}

export type HubMessage =
  /** Events in order, quotes conflated. Without events it is a heartbeat. */
  | (HubHeader & {
      readonly kind: "frame";
      /** One more than that of the outlet's message before. */
      readonly number: number;
      readonly events: readonly StreamEvent[];
      /** The tab that announces these events. */
      readonly announcer: string | null;
    })
  /** Views for one tab, after the outlet's frame `number`. */
  | (HubHeader & {
      readonly kind: "views";
      readonly number: number;
      readonly tab: string;
      readonly views: Readonly<Record<string, TopicView>>;
    })
  /** Every tab, or that tab, answers with its `TabState`. */
  | { readonly kind: "roll-call"; readonly term: number; readonly tab: string | null }
  /** That tab answers with `seed`. */
  | {
      readonly kind: "give";
      readonly term: number;
      readonly tab: string;
      readonly names: readonly string[];
    }
  /** That tab answers with `token`. */
  | { readonly kind: "token-request"; readonly term: number; readonly tab: string };
