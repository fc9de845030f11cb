import type { Bar, Decision, Trade } from "@tapewire/client";
import { useKeys, useSession, useTapewire } from "@tapewire/react";
import { useMemo, useRef } from "react";

import { useTerminal } from "../../app/terminal-context.js";
import { sideWord } from "../blotter/order-words.js";
import { epochSeconds, markersOf } from "./chart-data.js";

const NO_MARKS: readonly never[] = [];

/** The user's fills and the signals of strategies on these bars. */
export function useMarkers(symbol: string, bars: readonly Bar[]) {
  const client = useTapewire();
  const { formats } = useTerminal();
  const isSignedIn = useSession().name === "signed-in";
  const tradeIds = useKeys(client.trades);
  const decisionIds = useKeys(client.decisions);
  const starts = useStarts(bars);
  return useMemo(() => {
    if (!isSignedIn) return NO_MARKS;
    const trades = tradeIds
      .map((id) => client.trades.get(id))
      .filter((trade): trade is Trade => trade !== undefined);
    const decisions = decisionIds
      .map((id) => client.decisions.get(id))
      .filter((decision): decision is Decision => decision !== undefined);
    return markersOf(symbol, starts, trades, decisions, {
      fill: ({ side, qty, price }) =>
        `${sideWord(side)} ${formats.quantity(qty)} at ${formats.price(price)}`,
      signal: ({ action, confidence }) => `Signal: ${action} (${formats.share(confidence)})`,
    });
  }, [client, formats, isSignedIn, symbol, tradeIds, decisionIds, starts]);
}

/** The starts of the bars; the same array while only the last bar changes. */
function useStarts(bars: readonly Bar[]): readonly number[] {
  const [first, last, count] = [bars[0]?.start, bars.at(-1)?.start, bars.length];
  const known = useRef({ key: "", starts: [] as readonly number[] });
  const key = `${first} ${last} ${count}`;
  if (known.current.key !== key) {
    known.current = { key, starts: bars.map(({ start }) => epochSeconds(start)) };
  }
  return known.current.starts;
}
