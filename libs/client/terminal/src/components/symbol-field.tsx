import { type ReactNode, useId, useState } from "react";

import { SymbolDialog } from "./dialogs.js";
import { ErrorText } from "./error-text.js";
import "./symbol-field.css";

export interface SymbolFieldProps {
  readonly label: ReactNode;
  readonly symbol: string | null;
  readonly onSelect: (symbol: string) => void;
  readonly name?: string;
  readonly error?: string | undefined;
}

/** A symbol, and a search among all symbols to change it. */
export function SymbolField({ label, symbol, onSelect, name, error }: SymbolFieldProps) {
  const id = useId();
  const [isSearching, setSearching] = useState(false);
  return (
    <div className="field symbol-field">
      <span className="label" id={`${id}-label`}>
        {label}
      </span>
      <button
        type="button"
        name={name}
        className="input symbol-button"
        aria-labelledby={`${id}-label ${id}-value`}
        aria-describedby={`${id}-error`}
        aria-haspopup="dialog"
        data-invalid={error !== undefined}
        onClick={() => setSearching(true)}
        onKeyDown={(event) => {
          if (event.key !== "ArrowDown") return;
          event.preventDefault();
          setSearching(true);
        }}
      >
        <span id={`${id}-value`}>{symbol ?? "Choose a symbol"}</span>
        <span aria-hidden="true">▾</span>
      </button>
      <ErrorText id={`${id}-error`}>{error}</ErrorText>
      {isSearching && <SymbolDialog onChoose={onSelect} onClose={() => setSearching(false)} />}
    </div>
  );
}
