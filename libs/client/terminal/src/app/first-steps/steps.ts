/** The checklist of the first five minutes: which steps are done, by the real state. A pure function. */

export type StepId = "sign-in" | "price" | "order" | "strategy" | "alert";

export interface Facts {
  readonly isSignedIn: boolean;
  /** The symbol that the user has looked at; null while none has a price. */
  readonly symbol: string | null;
  readonly hasChosenSymbol: boolean;
  readonly hasOrder: boolean;
  /** A strategy that was started, now or before. */
  readonly hasStartedStrategy: boolean;
  readonly hasAlert: boolean;
}

export interface Step {
  readonly id: StepId;
  readonly title: string;
  readonly text: string;
  /** The label of its button. */
  readonly action: string;
  readonly isDone: boolean;
  /** It can be done now: what it depends on is there. */
  readonly isPossible: boolean;
}

export function firstSteps(facts: Facts): readonly Step[] {
  const symbol = facts.symbol ?? "a symbol";
  const canAct = facts.isSignedIn && facts.symbol !== null;
  return [
    {
      id: "sign-in",
      title: "Sign in",
      text: "Any name works on a development server.",
      action: "Sign in",
      isDone: facts.isSignedIn,
      isPossible: true,
    },
    {
      id: "price",
      title: "Look at a price",
      text: "Choose a symbol; chart and ticket follow.",
      action: "Find a symbol",
      isDone: facts.hasChosenSymbol,
      isPossible: facts.symbol !== null,
    },
    {
      id: "order",
      title: "Place a first order",
      text: `One share of ${symbol}, filled in for you: press “Buy” in the ticket.`,
      action: "Fill in the ticket",
      isDone: facts.hasOrder,
      isPossible: canAct,
    },
    {
      id: "strategy",
      title: "Start a demo strategy",
      text: `It trades one share of ${symbol} on short averages, within a minute.`,
      action: "Create and start it",
      isDone: facts.hasStartedStrategy,
      isPossible: canAct,
    },
    {
      id: "alert",
      title: "Get an alert",
      text: `A rule on ${symbol} that the next price fires.`,
      action: "Arm it",
      isDone: facts.hasAlert,
      isPossible: canAct,
    },
  ];
}
