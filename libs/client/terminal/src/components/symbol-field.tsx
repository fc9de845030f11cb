import { lazy, type ReactNode, Suspense, useId, useState } from "react";

import { ErrorText } from "./error-text.js";
import "./symbol-field.css";

export interface SymbolFieldProps {
  readonly label: ReactNode;
  readonly symbol: string | null;
  readonly onSelect: (symbol: string) => void;
  readonly name?: string;
  readonly error?: string | undefined;
}

/** The search is a chunk of its own: it is needed by a press, not by the first view. */
const SymbolDialog = lazy(() => import("./symbol-dialog.js"));

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
      {isSearching && (
        <Suspense>
          <SymbolDialog onChoose={onSelect} onClose={() => setSearching(false)} />
        </Suspense>
      )}
    </div>
  );
}
