import { type KeyboardEvent, useEffect, useRef, useState } from "react";

import { useFormats } from "../app/terminal-context.js";
import type { ParsedNumber, ParseOptions } from "../format/index.js";
import { Field, type FieldProps } from "./form/field.js";

/** How long after a field was left its error is shown. */
const LEAVING_MS = 300;

/** `error` is the server's; it is shown before the field's own. */
export interface NumberFieldProps extends FieldProps, ParseOptions {
  /** What is typed. The owner keeps the text, so that nothing typed is ever lost. */
  readonly text: string;
  /** `parsed` is the reading of `text` in the user's locale. */
  readonly onChange: (text: string, parsed: ParsedNumber) => void;
  /** Arrow up and down change the number by this; Page Up and Page Down by ten times as much. */
  readonly step?: number;
  /** Show the field's own error before it was left once, such as after a failed submit. */
  readonly showsError?: boolean;
  readonly isOptional?: boolean;
  readonly isDisabled?: boolean;
  readonly name?: string;
}

/**
 * A field for a number as the user's locale writes it. Ambiguous, partial and out-of-range input is
 * refused with a text at the field when it is left.
 */
export function NumberField({
  label,
  text,
  onChange,
  step,
  unit,
  help,
  error,
  showsError = false,
  isOptional = false,
  isDisabled = false,
  name,
  ...options
}: NumberFieldProps) {
  const formats = useFormats();
  const [wasLeft, setWasLeft] = useState(false);
  const leaving = useRef<ReturnType<typeof setTimeout>>(undefined);
  useEffect(() => () => clearTimeout(leaving.current), []);
  const parsed = formats.parse(text, options);
  const isMissing = !parsed.ok && parsed.isEmpty;
  const ownError =
    parsed.ok || (isMissing && (isOptional || !showsError)) ? undefined : parsed.error;
  const shownError = error ?? (wasLeft || showsError ? ownError : undefined);

  function handleKey(event: KeyboardEvent<HTMLInputElement>) {
    const steps = { ArrowUp: 1, ArrowDown: -1, PageUp: 10, PageDown: -10 }[event.key];
    if (step === undefined || steps === undefined || event.altKey || event.ctrlKey || event.metaKey)
      return;
    event.preventDefault();
    const places = Math.min(8, (String(step).split(".")[1] ?? "").length + 2);
    const from = parsed.ok ? parsed.value : 0;
    const moved = Number((from + steps * step).toFixed(Math.max(places, 8)));
    const lowest = options.isMinExclusive
      ? (options.min ?? -Infinity) + step
      : (options.min ?? -Infinity);
    const next = formats.editable(Math.min(Math.max(moved, lowest), options.max ?? Infinity));
    onChange(next, formats.parse(next, options));
  }

  /** The error moves what is below it: a press of a button there must be over first. */
  function handleBlur() {
    clearTimeout(leaving.current);
    leaving.current = setTimeout(() => setWasLeft(text !== ""), LEAVING_MS);
  }

  return (
    <Field label={label} unit={unit} help={help} error={shownError}>
      {(control) => (
        <input
          {...control}
          name={name}
          type="text"
          inputMode="decimal"
          autoComplete="off"
          className="input num"
          value={text}
          disabled={isDisabled}
          aria-required={!isOptional}
          onChange={(event) =>
            onChange(event.target.value, formats.parse(event.target.value, options))
          }
          onBlur={handleBlur}
          onKeyDown={handleKey}
        />
      )}
    </Field>
  );
}
