/**
 * The page's live regions: one polite, one assertive. A text is said once; the same text may be said
 * again later. Texts that come together are said one after the other.
 */

import { type ReactNode, useCallback, useRef, useState } from "react";

export type Announce = (text: string, politeness?: "polite" | "assertive") => void;

/** How long a text stays in the region: screen readers need some time to notice it. */
const SAY_MS = 700;

interface Said {
  readonly text: string;
  readonly number: number;
}

const NOTHING: Said = { text: "", number: 0 };

export function useAnnouncer(): { announce: Announce; regions: ReactNode } {
  const [polite, sayPolite] = useSpeech();
  const [assertive, sayAssertive] = useSpeech();
  const announce = useCallback<Announce>(
    (text, politeness = "polite") => (politeness === "assertive" ? sayAssertive : sayPolite)(text),
    [sayPolite, sayAssertive],
  );
  const regions = (
    <div className="sr-only">
      <div role="status" aria-live="polite" aria-atomic="true" id="live-region">
        {polite.text !== "" && <p key={polite.number}>{polite.text}</p>}
      </div>
      <div role="alert" aria-live="assertive" aria-atomic="true">
        {assertive.text !== "" && <p key={assertive.number}>{assertive.text}</p>}
      </div>
    </div>
  );
  return { announce, regions };
}

function useSpeech(): [Said, (text: string) => void] {
  const [said, setSaid] = useState(NOTHING);
  const waiting = useRef<string[]>([]);
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);

  const next = useCallback(() => {
    const text = waiting.current.shift();
    timer.current = undefined;
    if (text === undefined) return;
    setSaid(({ number }) => ({ text, number: number + 1 }));
    timer.current = setTimeout(next, SAY_MS);
  }, []);

  const say = useCallback(
    (text: string) => {
      if (waiting.current.at(-1) === text) return;
      waiting.current.push(text);
      if (timer.current === undefined) next();
    },
    [next],
  );
  return [said, say];
}
