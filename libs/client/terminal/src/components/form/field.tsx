import { type InputHTMLAttributes, type ReactNode, useId } from "react";

import { ErrorText } from "../error-text.js";

export interface FieldProps {
  readonly label: ReactNode;
  /** A unit, or "optional": after the label. */
  readonly unit?: string | undefined;
  readonly help?: ReactNode;
  readonly error?: string | undefined;
}

/** What the control of a field needs to belong to its label, its error and its help. */
interface ControlProps {
  readonly id: string;
  readonly className: string;
  readonly "aria-invalid": boolean;
  readonly "aria-describedby": string;
}

/** A label, a control, its error and its help. */
export function Field({
  label,
  unit,
  help,
  error,
  children,
}: FieldProps & { readonly children: (control: ControlProps) => ReactNode }) {
  const id = useId();
  const control: ControlProps = {
    id,
    className: "input",
    "aria-invalid": error !== undefined,
    "aria-describedby": `${id}-error ${id}-help`,
  };
  return (
    <div className="field">
      <label htmlFor={id}>
        {label} {unit !== undefined && <span className="unit">{unit}</span>}
      </label>
      {children(control)}
      <ErrorText id={`${id}-error`}>{error}</ErrorText>
      {help !== undefined && (
        <p className="help" id={`${id}-help`}>
          {help}
        </p>
      )}
    </div>
  );
}

export interface TextFieldProps
  extends FieldProps,
    Omit<InputHTMLAttributes<HTMLInputElement>, "onChange" | "value"> {
  readonly value: string;
  readonly onChange: (value: string) => void;
}

export function TextField({ label, unit, help, error, onChange, ...input }: TextFieldProps) {
  return (
    <Field label={label} unit={unit} help={help} error={error}>
      {(control) => (
        <input
          type="text"
          {...input}
          {...control}
          onChange={({ target }) => onChange(target.value)}
        />
      )}
    </Field>
  );
}

export interface SelectFieldProps<T extends string> extends FieldProps {
  readonly name?: string;
  readonly value: T;
  readonly options: readonly (readonly [T, string])[];
  readonly onChange: (value: T) => void;
}

export function SelectField<T extends string>({
  name,
  value,
  options,
  onChange,
  ...field
}: SelectFieldProps<T>) {
  return (
    <Field {...field}>
      {(control) => (
        <select
          {...control}
          name={name}
          value={value}
          onChange={({ target }) => onChange(target.value as T)}
        >
          {options.map(([option, text]) => (
            <option key={option} value={option}>
              {text}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
}

/** The options of a select field from names by value. */
export function optionsOf<T extends string>(
  names: Readonly<Record<T, string>>,
): readonly (readonly [T, string])[] {
  return Object.entries(names) as [T, string][];
}
