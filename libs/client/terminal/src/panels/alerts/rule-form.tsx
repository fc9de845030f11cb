import { ApiError } from "@tapewire/client";
import { useTapewire } from "@tapewire/react";
import { type FormEvent, useId, useState } from "react";

import { useTerminal } from "../../app/terminal-context.js";
import { Dialog, ErrorText, errorMessage, NumberField } from "../../components/index.js";
import { SymbolField } from "../../components/symbol-field.js";
import {
  KIND_NAMES,
  LEVEL_NAMES,
  type LevelName,
  needsSymbol,
  RULE_OPTIONS,
  type RuleFields,
  type RuleKindName,
  readRule,
} from "./rule-words.js";

const FORM_FIELDS = new Set(["symbol", "price", "percent", "windowSeconds"]);

/** Creates an alert rule. */
export function RuleDialog({ onClose }: { readonly onClose: () => void }) {
  const client = useTapewire();
  const { formats, symbol, announce } = useTerminal();
  const [fields, setFields] = useState<RuleFields>(() => {
    const price = symbol === null ? undefined : client.prices.get(symbol)?.price;
    return {
      kind: "price_above",
      symbol,
      level: "warning",
      price: price === undefined ? "" : formats.editable(price),
      percent: "1",
      windowSeconds: "60",
    };
  });
  const [errors, setErrors] = useState<Readonly<Record<string, string>>>({});
  const [isBusy, setBusy] = useState(false);
  const id = useId();
  const change = (changed: Partial<RuleFields>) => {
    setFields((previous) => ({ ...previous, ...changed }));
    setErrors({});
  };

  async function save(event: FormEvent) {
    event.preventDefault();
    if (isBusy) return;
    const read = readRule(fields, formats.parse);
    if ("errors" in read) return setErrors(read.errors);
    setBusy(true);
    try {
      await client.call("POST", "/api/alerts/rules", read.body);
      announce("The rule is armed.");
      onClose();
    } catch (error) {
      const field = error instanceof ApiError ? error.field : undefined;
      setErrors({
        [field !== undefined && FORM_FIELDS.has(field) ? field : "form"]: errorMessage(error),
      });
      setBusy(false);
    }
  }

  const isPriceRule = fields.kind === "price_above" || fields.kind === "price_below";
  return (
    <Dialog title="New alert rule" onClose={onClose}>
      <form className="form-grid" onSubmit={(event) => void save(event)} noValidate>
        <div className="field">
          <label htmlFor={`${id}-kind`}>When</label>
          <select
            id={`${id}-kind`}
            className="input"
            value={fields.kind}
            onChange={(event) => change({ kind: event.target.value as RuleKindName })}
          >
            {Object.entries(KIND_NAMES).map(([kind, name]) => (
              <option key={kind} value={kind}>
                {name}
              </option>
            ))}
          </select>
        </div>
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
        <div className="field">
          <label htmlFor={`${id}-level`}>How loud</label>
          <select
            id={`${id}-level`}
            className="input"
            value={fields.level}
            onChange={(event) => change({ level: event.target.value as LevelName })}
          >
            {Object.entries(LEVEL_NAMES).map(([level, name]) => (
              <option key={level} value={level}>
                {name}
              </option>
            ))}
          </select>
        </div>
        <ErrorText isAlert>{errors.form}</ErrorText>
        <div className="dialog-buttons">
          <button type="button" className="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" className="button primary" aria-disabled={isBusy}>
            {isBusy ? "Saving…" : "Arm the rule"}
          </button>
        </div>
      </form>
    </Dialog>
  );
}
