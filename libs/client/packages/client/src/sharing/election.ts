/**
 * Which tab leads, as a pure step function.
 *
 * The tab that holds the lock leads, for one term. The browser gives a lock that is released, or whose
 * tab has ended, to the next tab in the queue. A leader that stands still keeps its lock, so the
 * others steal it. It then learns by the loss of its lock, or by a message of a later term, that it
 * leads no more. Terms grow with each leader, and tabs ignore messages of earlier ones.
 */

export interface Election {
  readonly role: "away" | "follower" | "leader";
  /** The highest term that this tab knows of. */
  readonly term: number;
  /** Identifies the newest request for the lock: what becomes of older ones is of no interest. */
  readonly request: number;
}

export type ElectionInput =
  | { readonly kind: "join" }
  | { readonly kind: "leave" }
  /** @see nextTerm */
  | { readonly kind: "granted"; readonly request: number; readonly nextTerm: number }
  /** The lock was stolen. */
  | { readonly kind: "lost"; readonly request: number }
  /** A leader of that term is there. */
  | { readonly kind: "heard"; readonly term: number }
  /** The leader does not answer. */
  | { readonly kind: "silent" };

export type ElectionAction =
  /** Wait for the lock, or take it from its holder. An earlier request is given up. */
  | { readonly kind: "request"; readonly request: number; readonly steal: boolean }
  | { readonly kind: "lead"; readonly term: number }
  | { readonly kind: "stop" }
  /** Give up the request, or release the lock. */
  | { readonly kind: "release" };

export interface ElectionStep {
  readonly state: Election;
  readonly actions: readonly ElectionAction[];
}

export const AWAY: Election = { role: "away", term: 0, request: 0 };

/** A term that is later than `seen`, and unlikely to be that of another tab. */
export function nextTerm(now: number, random: number, seen: number): number {
  return Math.max(now * 1_000 + Math.floor(random * 1_000), seen + 1);
}

export function step(state: Election, input: ElectionInput): ElectionStep {
  switch (input.kind) {
    case "join":
      return state.role === "away" ? requestLock(state, false) : unchanged(state);
    case "leave":
      return leave(state);
    case "granted":
      return granted(state, input.request, input.nextTerm);
    case "lost":
      return input.request === state.request && state.role !== "away"
        ? standDown(state)
        : unchanged(state);
    case "heard":
      return heard(state, input.term);
    case "silent":
      return state.role === "follower" ? requestLock(state, true) : unchanged(state);
  }
}

function unchanged(state: Election): ElectionStep {
  return { state, actions: [] };
}

function requestLock(state: Election, steal: boolean): ElectionStep {
  const request = state.request + 1;
  return {
    state: { ...state, role: "follower", request },
    actions: [{ kind: "release" }, { kind: "request", request, steal }],
  };
}

function leave(state: Election): ElectionStep {
  if (state.role === "away") return unchanged(state);
  const stop: ElectionAction[] = state.role === "leader" ? [{ kind: "stop" }] : [];
  return {
    state: { ...state, role: "away", request: state.request + 1 },
    actions: [...stop, { kind: "release" }],
  };
}

function granted(state: Election, request: number, term: number): ElectionStep {
  if (state.role !== "follower" || request !== state.request) return unchanged(state);
  const next = Math.max(term, state.term + 1);
  return {
    state: { ...state, role: "leader", term: next },
    actions: [{ kind: "lead", term: next }],
  };
}

/** Queue for the lock again, behind the others. */
function standDown(state: Election): ElectionStep {
  const { state: next, actions } = requestLock(state, false);
  return {
    state: next,
    actions: state.role === "leader" ? [{ kind: "stop" }, ...actions] : actions,
  };
}

function heard(state: Election, term: number): ElectionStep {
  if (term <= state.term) return unchanged(state);
  const later = { ...state, term };
  return state.role === "leader" ? standDown(later) : unchanged(later);
}
