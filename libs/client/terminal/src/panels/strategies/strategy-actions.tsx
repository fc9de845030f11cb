import type { Strategy } from "@tapewire/client";
import type { ButtonHTMLAttributes, ComponentType } from "react";

import { canStart } from "./strategy-words.js";

export interface StrategyCommands {
  readonly start: (strategy: Strategy) => void;
  /** Opens the dialog for it. */
  readonly ask: (name: "change" | "stop" | "delete", strategy: Strategy) => void;
}

export interface StrategyActionsProps extends StrategyCommands {
  readonly strategy: Strategy;
  readonly Button: ComponentType<ButtonHTMLAttributes<HTMLButtonElement>>;
}

/** Everything that can be done with a strategy as it is now; nothing with one that is deleted. */
export function StrategyActions({ strategy, start, ask, Button }: StrategyActionsProps) {
  const { name, status } = strategy;
  if (status === "deleted") return null;
  return (
    <>
      {canStart(strategy) && (
        <Button onClick={() => start(strategy)} aria-label={`Start ${name}`}>
          Start
        </Button>
      )}
      {status === "started" && (
        <Button onClick={() => ask("stop", strategy)} aria-label={`Stop ${name}`}>
          Stop
        </Button>
      )}
      <Button onClick={() => ask("change", strategy)} aria-label={`Change ${name}`}>
        Change
      </Button>
      {status !== "started" && (
        <Button onClick={() => ask("delete", strategy)} aria-label={`Delete ${name}`}>
          Delete
        </Button>
      )}
    </>
  );
}
