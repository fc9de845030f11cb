import { useKeys, useReadable, useSession, useTapewire } from "@tapewire/react";
import { useEffect, useRef, useState } from "react";

import { useDemoRule } from "../../panels/alerts/use-demo-rule.js";
import { useDemoStrategy } from "../../panels/strategies/use-demo-strategy.js";
import { useStoredState } from "../stored-state.js";
import { useTerminal } from "../terminal-context.js";
import { type Facts, firstSteps, type StepId } from "./steps.js";

export interface FirstStepsProps {
  readonly hasChosenSymbol: boolean;
  readonly onSignIn: () => void;
  readonly onFindSymbol: () => void;
  readonly onDismiss: () => void;
}

/** “First five minutes”: five steps, each done when the account says so, and the button of the next one. */
export default function FirstSteps(props: FirstStepsProps) {
  // What was done by one user is not done by the next.
  const session = useSession();
  if (session.name !== "signed-in") return <Steps {...props} facts={NOBODY} />;
  return <AccountSteps key={session.userId} {...props} />;
}

type AccountFacts = Pick<Facts, "isSignedIn" | "hasOrder" | "hasStartedStrategy" | "hasAlert">;

const NOBODY: AccountFacts = {
  isSignedIn: false,
  hasOrder: false,
  hasStartedStrategy: false,
  hasAlert: false,
};

function AccountSteps(props: FirstStepsProps) {
  const client = useTapewire();
  const facts: AccountFacts = {
    isSignedIn: true,
    hasOrder: useKeys(client.orders).length > 0,
    hasStartedStrategy: useHasStartedStrategy(),
    hasAlert: useKeys(client.alerts).length > 0,
  };
  return <Steps {...props} facts={facts} />;
}

function Steps({
  facts,
  hasChosenSymbol,
  onSignIn,
  onFindSymbol,
  onDismiss,
}: FirstStepsProps & { readonly facts: AccountFacts }) {
  const { symbol, openTicket, announce } = useTerminal();
  const demoStrategy = useDemoStrategy();
  const demoRule = useDemoRule();
  const [isOpen, setOpen] = useStoredState("first-steps.open", true);
  const steps = firstSteps({ ...facts, symbol, hasChosenSymbol });
  const next = steps.find(({ isDone, isPossible }) => !isDone && isPossible);
  const done = steps.filter(({ isDone }) => isDone).length;
  const isBusy = demoStrategy.isPending || demoRule.isPending;

  const said = useRef(done);
  useEffect(() => {
    if (done > said.current)
      announce(
        done === steps.length
          ? "All first steps are done."
          : `${done} of ${steps.length} first steps are done.`,
      );
    said.current = done;
  }, [done, steps.length, announce]);

  function act(step: StepId): void {
    if (step === "sign-in") onSignIn();
    else if (step === "price") onFindSymbol();
    else if (symbol === null || isBusy) return;
    else if (step === "order") openTicket({ symbol, side: "buy", qty: 1 });
    else if (step === "strategy") void demoStrategy.start(symbol);
    else void demoRule.arm(symbol);
  }

  return (
    <section className="first-steps" aria-labelledby="first-steps-title">
      <div className="first-steps-head">
        <h2 id="first-steps-title">First five minutes</h2>
        <span className="soft">
          {done} of {steps.length} done
        </span>
        <button
          type="button"
          className="link-button"
          aria-expanded={isOpen}
          aria-controls="first-steps-list"
          onClick={() => setOpen(!isOpen)}
        >
          {isOpen ? "Fold" : "Unfold"}
        </button>
        <button
          type="button"
          className="icon-button"
          aria-label="Close “First five minutes”"
          onClick={onDismiss}
        >
          <span aria-hidden="true">✕</span>
        </button>
      </div>
      <ol id="first-steps-list" hidden={!isOpen}>
        {steps.map(({ id, title, text, action, isDone, isPossible }) => (
          <li key={id} data-done={isDone} aria-current={next?.id === id ? "step" : undefined}>
            <p className="step-title">
              <span aria-hidden="true" className="step-mark">
                {isDone ? "✓" : "○"}
              </span>
              {title}
              <span className="sr-only">{isDone ? ": done" : ": to do"}</span>
            </p>
            {!isDone && <p className="soft">{text}</p>}
            {!isDone && (
              <button
                type="button"
                className={next?.id === id ? "button small primary" : "button small"}
                disabled={!isPossible}
                aria-disabled={isBusy || undefined}
                onClick={() => act(id)}
              >
                {action}
              </button>
            )}
          </li>
        ))}
      </ol>
      {done === steps.length && (
        <p className="first-steps-end">
          That is all. Press <kbd>?</kbd> for the keys.{" "}
          <button type="button" className="link-button" onClick={onDismiss}>
            Close this list
          </button>
        </p>
      )}
    </section>
  );
}

/** Whether one of the strategies was ever started; follows each of them. */
function useHasStartedStrategy(): boolean {
  const { strategies } = useTapewire();
  const keys = useReadable(strategies.keys);
  const [isStarted, setStarted] = useState(false);
  useEffect(() => {
    const check = () =>
      setStarted(keys.some((key) => (strategies.get(key)?.status ?? "created") !== "created"));
    check();
    const ends = keys.map((key) => strategies.subscribe(key, check));
    return () => {
      for (const end of ends) end();
    };
  }, [strategies, keys]);
  return isStarted;
}
