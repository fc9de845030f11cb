import type { AgentState, AgentStatus } from "@tapewire/client";
import { useAgents, useTapewire } from "@tapewire/react";

import { useRowsValue } from "./use-rows-value.js";

/** The best first. */
const STATES: Readonly<Record<AgentState, readonly [word: string, tone: string]>> = {
  running: ["Running", "good"],
  degraded: ["Degraded", "warn"],
  starting: ["Starting", "info"],
  stopped: ["Stopped", "bad"],
};
const RANKS = Object.keys(STATES);

/** The state of a process in a word, and why it is so. */
export function StateChip({
  state,
  detail,
}: {
  readonly state: AgentState;
  readonly detail?: string | null;
}) {
  const [word, tone] = STATES[state] ?? [state, undefined];
  return (
    <>
      <span className="chip" data-tone={tone}>
        {word}
      </span>{" "}
      {detail}
    </>
  );
}

/** Live: whether the service that does a panel's work runs. */
export function ServiceState({ service }: { readonly service: string }) {
  const agent = useBestProcess(service);
  return (
    <span className="service-state soft">
      Service: {agent === null ? "not heard of" : <StateChip {...agent} />}
    </span>
  );
}

/** The process of a service that is in the best state; null if none is known. */
function useBestProcess(service: string): AgentStatus | null {
  const { agents } = useTapewire();
  const keys = useAgents();
  return useRowsValue(agents, keys, () => {
    let best: AgentStatus | null = null;
    for (const key of keys) {
      const agent = agents.get(key);
      if (agent?.service !== service) continue;
      if (best === null || RANKS.indexOf(agent.state) < RANKS.indexOf(best.state)) best = agent;
    }
    return best;
  });
}
