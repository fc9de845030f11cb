import type { Strategy, StrategyStop } from "@tapewire/client";
import { useTapewire } from "@tapewire/react";
import { useState } from "react";

import { useTerminal } from "../../app/terminal-context.js";
import { ConfirmDialog } from "../../components/confirm-dialog.js";

type Position = NonNullable<StrategyStop["position"]>;

const CHOICES: readonly (readonly [Position, string])[] = [
  ["protect", "Keep the position, and watch its stop-loss and take-profit on"],
  ["close", "Close the position at the market, and cancel a pending order"],
  ["leave", "Leave the position alone: nothing protects it"],
];

/** Stops a strategy, and asks what becomes of its position if it has one. */
export function StopDialog({
  strategy,
  onClose,
}: {
  readonly strategy: Strategy;
  readonly onClose: () => void;
}) {
  const client = useTapewire();
  const { formats } = useTerminal();
  const [position, setPosition] = useState<Position>("protect");
  const asksPosition = strategy.position !== 0 || strategy.order !== null;
  return (
    <ConfirmDialog
      title={`Stop ${strategy.name}?`}
      confirmLabel="Stop the strategy"
      cancelLabel="Let it run"
      onClose={onClose}
      onConfirm={async () => {
        await client.call(
          "POST",
          `/api/strategies/${encodeURIComponent(strategy.strategyId)}/stop`,
          { position },
        );
      }}
    >
      {asksPosition ? (
        <fieldset className="field">
          <legend>
            It holds {formats.quantity(strategy.position)} {strategy.symbol}
            {strategy.order !== null && " and has an order at work"}.
          </legend>
          {CHOICES.map(([choice, text]) => (
            <label key={choice} className="check">
              <input
                type="radio"
                name="position"
                value={choice}
                checked={choice === position}
                onChange={() => setPosition(choice)}
              />{" "}
              {text}
            </label>
          ))}
        </fieldset>
      ) : (
        <p>It holds nothing and has no order at work.</p>
      )}
    </ConfirmDialog>
  );
}
