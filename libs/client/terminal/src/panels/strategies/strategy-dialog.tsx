import type { Strategy } from "@tapewire/client";
import { useTapewire } from "@tapewire/react";

import { useTerminal } from "../../app/terminal-context.js";
import { FormDialog } from "../../components/form/form-dialog.js";
import { NumberField, optionsOf, SelectField, TextField, useForm } from "../../components/index.js";
import { SymbolField } from "../../components/symbol-field.js";
import {
  FIELD_OPTIONS,
  fieldOfPath,
  fieldsOf,
  newFields,
  RULE_FIELDS,
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

const STOP_LOSSES = [
  ["none", "None"],
  ["fixed", "Fixed: from the entry"],
  ["trailing", "Trailing: from the best price since"],
] as const;

/** Creates a strategy, or changes one. */
export function StrategyDialog({ strategy, onClose }: StrategyDialogProps) {
  const client = useTapewire();
  const { formats, symbol, announce } = useTerminal();
  const form = useForm<StrategyFields>(
    () => (strategy ? fieldsOf(strategy, formats) : newFields(symbol)),
    ({ path }) => fieldOfPath(path),
  );
  const { fields, errors, change } = form;

  const save = () =>
    form.submit(readStrategy(fields, formats.parse), async (body) => {
      if (strategy) {
        const { symbol: _symbol, name, ...settings } = body;
        await client.call("PATCH", `/api/strategies/${encodeURIComponent(strategy.strategyId)}`, {
          ...settings,
          ...(name && { name }),
        });
        announce("The strategy was changed.");
      } else {
        await client.call("POST", "/api/strategies", body);
        announce("The strategy was created. Start it to let it trade.");
      }
      onClose();
    });

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
    <FormDialog
      title={strategy ? `Change ${strategy.name}` : "New strategy"}
      form={form}
      submitLabel={strategy ? "Change the strategy" : "Create the strategy"}
      onSubmit={save}
      onClose={onClose}
    >
      <TextField
        label="Name"
        unit="optional"
        value={fields.name}
        maxLength={100}
        onChange={(name) => change({ name })}
        error={errors.name}
      />
      {strategy === null && (
        <SymbolField
          label="Symbol"
          symbol={fields.symbol}
          onSelect={(chosen) => change({ symbol: chosen })}
          error={errors.symbol}
        />
      )}
      <SelectField
        label="Rule"
        value={fields.kind}
        options={optionsOf(RULE_NAMES)}
        onChange={(kind) => change({ kind })}
      />
      {RULE_FIELDS[fields.kind].map((name) => number(name, ...(NUMBER_LABELS[name] ?? [name, ""])))}
      {number("quantity", "Quantity", "shares an order")}
      <SelectField
        label="Stop-loss"
        value={fields.stopLossKind}
        options={STOP_LOSSES}
        onChange={(stopLossKind) => change({ stopLossKind })}
      />
      {fields.stopLossKind !== "none" &&
        number("stopLossPercent", "Loss that closes the position", "%")}
      {number("takeProfitPercent", "Gain that closes the position", "%, optional", true)}
      {number("maxTrades", "Complete after", "trades, optional", true)}
    </FormDialog>
  );
}
