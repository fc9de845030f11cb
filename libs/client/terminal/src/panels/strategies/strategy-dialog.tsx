import { ApiError, type Strategy } from "@tapewire/client";
import { useTapewire } from "@tapewire/react";
import { type FormEvent, useId, useState } from "react";

import { useTerminal } from "../../app/terminal-context.js";
import { Dialog, ErrorText, errorMessage, NumberField } from "../../components/index.js";
import { SymbolField } from "../../components/symbol-field.js";
import {
  FIELD_OPTIONS,
  fieldOfPath,
  fieldsOf,
  newFields,
  RULE_FIELDS,
  type RuleKindName,
  readStrategy,
  type StrategyFields,
} from "./strategy-form.js";
import { RULE_NAMES } from "./strategy-words.js";

export interface StrategyDialogProps {
  /** The strategy to change; null to create one. */
  readonly strategy: Strategy | null;
  readonly onClose: () => void;
}

const NUMBER_LABELS: Readonly<Record<string, readonly [label: string, unit: string]>> = {
  fast: ["Short average", "prices"],
  slow: ["Long average", "prices"],
  window: ["Look back at", "prices"],
  marginPercent: ["Margin", "%"],
  deviations: ["Deviations", "standard deviations"],
};

/** Creates a strategy, or changes one. */
export function StrategyDialog({ strategy, onClose }: StrategyDialogProps) {
  const client = useTapewire();
  const { formats, symbol, announce } = useTerminal();
  const [fields, setFields] = useState(() =>
    strategy ? fieldsOf(strategy, formats) : newFields(symbol),
  );
  const [errors, setErrors] = useState<Readonly<Record<string, string>>>({});
  const [isBusy, setBusy] = useState(false);
  const id = useId();

  const change = (changed: Partial<StrategyFields>) => {
    setFields((previous) => ({ ...previous, ...changed }));
    setErrors({});
  };

  async function save(event: FormEvent) {
    event.preventDefault();
    if (isBusy) return;
    const read = readStrategy(fields, formats.parse);
    if ("errors" in read) return setErrors(read.errors);
    setBusy(true);
    try {
      if (strategy) {
        const { symbol: _symbol, name, ...settings } = read.body;
        await client.call("PATCH", `/api/strategies/${encodeURIComponent(strategy.strategyId)}`, {
          ...settings,
          ...(name && { name }),
        });
      } else {
        await client.call("POST", "/api/strategies", read.body);
      }
      announce(
        strategy
          ? "The strategy was changed."
          : "The strategy was created. Start it to let it trade.",
      );
      onClose();
    } catch (error) {
      setErrors({
        [fieldOfPath(error instanceof ApiError ? error.path : undefined)]: errorMessage(error),
      });
      setBusy(false);
    }
  }

  const number = (
    name: keyof typeof FIELD_OPTIONS,
    label: string,
    unit: string,
    isOptional = false,
  ) => (
    <NumberField
      key={name}
      name={name}
      label={label}
      unit={unit}
      text={fields[name]}
      step={FIELD_OPTIONS[name] && "maxPlaces" in FIELD_OPTIONS[name] ? 1 : 0.1}
      {...FIELD_OPTIONS[name]}
      isOptional={isOptional}
      onChange={(text) => change({ [name]: text })}
      error={errors[name]}
    />
  );

  return (
    <Dialog title={strategy ? `Change ${strategy.name}` : "New strategy"} onClose={onClose}>
      <form className="form-grid" onSubmit={(event) => void save(event)} noValidate>
        <div className="field">
          <label htmlFor={`${id}-name`}>
            Name <span className="unit">optional</span>
          </label>
          <input
            id={`${id}-name`}
            className="input"
            value={fields.name}
            maxLength={100}
            onChange={(event) => change({ name: event.target.value })}
            aria-describedby={`${id}-name-error`}
          />
          <ErrorText id={`${id}-name-error`}>{errors.name}</ErrorText>
        </div>
        {strategy === null && (
          <SymbolField
            label="Symbol"
            symbol={fields.symbol}
            onSelect={(chosen) => change({ symbol: chosen })}
            error={errors.symbol}
          />
        )}
        <div className="field">
          <label htmlFor={`${id}-kind`}>Rule</label>
          <select
            id={`${id}-kind`}
            className="input"
            value={fields.kind}
            onChange={(event) => change({ kind: event.target.value as RuleKindName })}
          >
            {Object.entries(RULE_NAMES).map(([kind, name]) => (
              <option key={kind} value={kind}>
                {name}
              </option>
            ))}
          </select>
        </div>
        {RULE_FIELDS[fields.kind].map((name) =>
          number(name, ...(NUMBER_LABELS[name] ?? [name, ""])),
        )}
        {number("quantity", "Quantity", "shares an order")}
        <div className="field">
          <label htmlFor={`${id}-stop`}>Stop-loss</label>
          <select
            id={`${id}-stop`}
            className="input"
            value={fields.stopLossKind}
            onChange={(event) =>
              change({ stopLossKind: event.target.value as StrategyFields["stopLossKind"] })
            }
          >
            <option value="none">None</option>
            <option value="fixed">Fixed: from the entry</option>
            <option value="trailing">Trailing: from the best price since</option>
          </select>
        </div>
        {fields.stopLossKind !== "none" &&
          number("stopLossPercent", "Loss that closes the position", "%")}
        {number("takeProfitPercent", "Gain that closes the position", "%, optional", true)}
        {number("maxTrades", "Complete after", "trades, optional", true)}
        <ErrorText isAlert>{errors.form}</ErrorText>
        <div className="dialog-buttons">
          <button type="button" className="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" className="button primary" aria-disabled={isBusy}>
            {isBusy ? "Saving…" : strategy ? "Change the strategy" : "Create the strategy"}
          </button>
        </div>
      </form>
    </Dialog>
  );
}
