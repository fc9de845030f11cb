import { useTapewire } from "@tapewire/react";

import { useTerminal } from "../../app/terminal-context.js";
import { FormDialog } from "../../components/form/form-dialog.js";
import { NumberField, optionsOf, SelectField, useForm } from "../../components/index.js";
import { SymbolField } from "../../components/symbol-field.js";
import {
  fieldOfError,
  KIND_NAMES,
  LEVEL_NAMES,
  needsSymbol,
  RULE_OPTIONS,
  type RuleFields,
  readRule,
} from "./rule-words.js";

/** Creates an alert rule. */
export function RuleDialog({ onClose }: { readonly onClose: () => void }) {
  const client = useTapewire();
  const { formats, symbol, announce } = useTerminal();
  const form = useForm<RuleFields>(() => {
    const price = symbol === null ? undefined : client.prices.get(symbol)?.price;
    return {
      kind: "price_above",
      symbol,
      level: "warning",
      price: price === undefined ? "" : formats.editable(price),
      percent: "1",
      windowSeconds: "60",
    };
  }, fieldOfError);
  const { fields, errors, change } = form;

  const save = () =>
    form.submit(readRule(fields, formats.parse), async (body) => {
      await client.call("POST", "/api/alerts/rules", body);
      announce("The rule is armed.");
      onClose();
    });

  const isPriceRule = fields.kind === "price_above" || fields.kind === "price_below";
  return (
    <FormDialog
      title="New alert rule"
      form={form}
      submitLabel="Arm the rule"
      onSubmit={save}
      onClose={onClose}
    >
      <SelectField
        label="When"
        value={fields.kind}
        options={optionsOf(KIND_NAMES)}
        onChange={(kind) => change({ kind })}
      />
      <SymbolField
        label={needsSymbol(fields.kind) ? "Symbol" : "Symbol (any, if none is chosen)"}
        symbol={fields.symbol}
        onSelect={(chosen) => change({ symbol: chosen })}
        error={errors.symbol}
      />
      {!needsSymbol(fields.kind) && fields.symbol !== null && (
        <button type="button" className="link-button" onClick={() => change({ symbol: null })}>
          Any symbol
        </button>
      )}
      {isPriceRule && (
        <NumberField
          name="price"
          label="Price"
          unit="dollars a share"
          text={fields.price}
          step={0.01}
          {...RULE_OPTIONS.price}
          onChange={(price) => change({ price })}
          error={errors.price}
        />
      )}
      {fields.kind === "percent_move" && (
        <>
          <NumberField
            name="percent"
            label="Move, up or down"
            unit="%"
            text={fields.percent}
            step={0.1}
            {...RULE_OPTIONS.percent}
            onChange={(percent) => change({ percent })}
            error={errors.percent}
          />
          <NumberField
            name="windowSeconds"
            label="Within"
            unit="seconds"
            text={fields.windowSeconds}
            step={10}
            {...RULE_OPTIONS.windowSeconds}
            onChange={(windowSeconds) => change({ windowSeconds })}
            error={errors.windowSeconds}
          />
        </>
      )}
      <SelectField
        label="How loud"
        value={fields.level}
        options={optionsOf(LEVEL_NAMES)}
        onChange={(level) => change({ level })}
      />
    </FormDialog>
  );
}
