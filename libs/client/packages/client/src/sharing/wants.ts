/** What a tab wants: its topics and their listeners. */

import type { Unsubscribe } from "../interfaces.js";
import type { TopicChange } from "../source.js";
import { viewName } from "../topics.js";

export type TopicListener = (change: TopicChange) => void;

export class Wants {
  readonly #byTopic = new Map<string, Set<TopicListener>>();

  get topics(): string[] {
    return [...this.#byTopic.keys()];
  }

  /** The names of the views of the topics. */
  get names(): Set<string> {
    return new Set(this.topics.map(viewName));
  }

  /** @param onChange  called when the topics have changed */
  add(topic: string, listener: TopicListener, onChange: () => void): Unsubscribe {
    // A function of its own, so that one listener may be given twice.
    const own: TopicListener = (change) => listener(change);
    const listeners = this.#byTopic.get(topic);
    if (listeners !== undefined) {
      listeners.add(own);
    } else {
      this.#byTopic.set(topic, new Set([own]));
      onChange();
    }
    return () => {
      const present = this.#byTopic.get(topic);
      if (!present?.delete(own) || present.size > 0) return;
      this.#byTopic.delete(topic);
      onChange();
    };
  }

  /** The listeners of the topics of a view. */
  listenersOf(name: string): TopicListener[] {
    return [...this.#byTopic].flatMap(([topic, listeners]) =>
      viewName(topic) === name ? [...listeners] : [],
    );
  }
}
