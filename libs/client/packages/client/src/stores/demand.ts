/** What stores ask a source for: a topic, while anybody listens. */

import type { Unsubscribe } from "../interfaces.js";
import type { TopicChange, TopicSource, TopicView } from "../source.js";

/** A topic is released this long after its last listener has left: pages come and go. */
export const RELEASE_AFTER_MS = 5_000;

/** One topic of a source, kept for a while after its last use. */
export class Demand<S> {
  readonly #source: TopicSource;
  readonly #topic: string;
  readonly #onChange: (change: TopicChange<S>) => void;
  readonly #onRelease: (() => void) | undefined;
  #uses = 0;
  #unsubscribe: Unsubscribe | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /**
   * @param onChange  called for each change of the view, and once after each subscription
   * @param onRelease  called when the topic is released
   */
  constructor(
    source: TopicSource,
    topic: string,
    onChange: (change: TopicChange<S>) => void,
    onRelease?: () => void,
  ) {
    this.#source = source;
    this.#topic = topic;
    this.#onChange = onChange;
    this.#onRelease = onRelease;
  }

  get isActive(): boolean {
    return this.#unsubscribe !== undefined;
  }

  get view(): TopicView<S> {
    return this.#source.view(this.#topic) as TopicView<S>;
  }

  /** Ask for the topic until the result is called, and a little longer. */
  use = (): Unsubscribe => {
    this.#uses += 1;
    clearTimeout(this.#timer);
    if (this.#unsubscribe === undefined) {
      this.#unsubscribe = this.#source.subscribe(
        this.#topic,
        this.#onChange as (change: TopicChange) => void,
      );
      this.#onChange({ view: this.view, events: null, announces: false });
    }
    let isUsed = true;
    return () => {
      if (!isUsed) return;
      isUsed = false;
      this.#uses -= 1;
      if (this.#uses === 0) this.#timer = setTimeout(this.release, RELEASE_AFTER_MS);
    };
  };

  /** Release the topic now. */
  release = (): void => {
    clearTimeout(this.#timer);
    const unsubscribe = this.#unsubscribe;
    this.#unsubscribe = undefined;
    if (unsubscribe === undefined) return;
    unsubscribe();
    this.#onRelease?.();
  };
}
