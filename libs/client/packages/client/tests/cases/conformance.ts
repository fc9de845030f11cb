/** Runs a case of conformance/connection_cases.json. Node and Chromium use it. */

import { equal } from "../assert.js";
import { type Answer, atRest, connected, type Json } from "../fakes.js";

/** What conformance/README.md says. */
export interface ConnectionCase {
  readonly name: string;
  readonly lastEventId?: string;
  readonly answers: readonly ("stream" | "down" | ScriptedResponse)[];
  readonly steps: readonly Step[];
}

interface ScriptedResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

interface Step {
  readonly send?: string;
  readonly on?: number;
  readonly end?: true;
  readonly fail?: true;
  readonly wait?: number;
  readonly expect?: Readonly<Record<string, unknown>>;
}

function answerOf(answer: ConnectionCase["answers"][number]): Answer {
  if (typeof answer === "string") return answer;
  const { status, headers, body } = answer;
  if (body === undefined) return () => new Response(null, { status, headers });
  const type = { "Content-Type": "application/json", ...headers };
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return () => new Response(text, { status, headers: type });
}

export async function runConnectionCase({
  answers,
  steps,
  lastEventId = "",
}: ConnectionCase): Promise<void> {
  const made = await connected(answers.map(answerOf), { lastEventId });
  const { stream, exchanges, events, clock, requests, last } = made;
  const ended = new Set<number>();
  const read: Readonly<Record<string, () => unknown>> = {
    requests,
    resumedAfter: () => last().headers["Last-Event-ID"] ?? null,
    lastEventId: () => stream.lastEventId,
    state: () => stream.state.name,
    events: () => events.map(({ type, id }: Json) => [type, id]),
    open: () => exchanges.flatMap(({ aborted }, at) => (aborted || ended.has(at) ? [] : [at + 1])),
  };
  for (const [
    number,
    { send, on = exchanges.length, end, fail, wait, expect },
  ] of steps.entries()) {
    const exchange = exchanges[on - 1];
    if (send !== undefined) await exchange.send(send);
    if (end) await exchange.end();
    if (fail) await exchange.fail();
    if (end || fail) ended.add(on - 1);
    if (wait !== undefined) await clock.advance(wait);
    for (const [what, value] of Object.entries(expect ?? {})) {
      equal(read[what]?.(), value, `${what} at step ${number + 1}`);
    }
  }
  stream.close();
  await atRest();
}
