import { useId } from "react";

import { ErrorText } from "../../components/index.js";
import type { OrderFields } from "./order-form.js";

const TIMES_IN_FORCE = [
  ["gtc", "Until canceled"],
  ["day", "Day"],
  ["ioc", "At once, in part (IOC)"],
  ["fok", "At once, in full (FOK)"],
] as const;

export function TimeInForceField({
  value,
  onChange,
  error,
}: {
  readonly value: OrderFields["timeInForce"];
  readonly onChange: (value: OrderFields["timeInForce"]) => void;
  readonly error: string | undefined;
}) {
  const id = useId();
  return (
    <div className="field">
      <label htmlFor={id}>Time in force</label>
      <select
        id={id}
        name="timeInForce"
        className="input"
        value={value}
        aria-describedby={`${id}-error`}
        onChange={(event) => onChange(event.target.value as OrderFields["timeInForce"])}
      >
        {TIMES_IN_FORCE.map(([name, label]) => (
          <option key={name} value={name}>
            {label}
          </option>
        ))}
      </select>
      <ErrorText id={`${id}-error`}>{error}</ErrorText>
    </div>
  );
}
