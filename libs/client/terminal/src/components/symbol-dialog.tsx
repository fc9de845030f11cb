import { useSymbols } from "@tapewire/react";
import { type KeyboardEvent, useEffect, useId, useState } from "react";

import { Dialog } from "./dialog.js";
import { matchingSymbols } from "./symbol-filter.js";

const MAX_SHOWN = 50;

export interface SymbolDialogProps {
  readonly onChoose: (symbol: string) => void;
  readonly onClose: () => void;
}

/** A combo box over all symbols that have prices, with its list below it in a modal dialog. */
export default function SymbolDialog({ onChoose, onClose }: SymbolDialogProps) {
  const symbols = useSymbols();
  const [text, setText] = useState("");
  const [index, setIndex] = useState(0);
  const id = useId();
  const matches = matchingSymbols(symbols, text).slice(0, MAX_SHOWN);
  const active = Math.min(index, matches.length - 1);

  useEffect(() => {
    document.getElementById(`${id}-${active}`)?.scrollIntoView({ block: "nearest" });
  }, [id, active]);

  function choose(symbol: string | undefined) {
    if (symbol === undefined) return;
    onClose();
    onChoose(symbol);
  }

  function handleKey(event: KeyboardEvent) {
    const last = matches.length - 1;
    const next = {
      ArrowDown: active >= last ? 0 : active + 1,
      ArrowUp: active <= 0 ? last : active - 1,
      PageDown: Math.min(last, active + 8),
      PageUp: Math.max(0, active - 8),
    }[event.key];
    if (next !== undefined) {
      event.preventDefault();
      setIndex(next);
    } else if (event.key === "Enter") {
      event.preventDefault();
      choose(matches[active]);
    }
  }

  const found =
    matches.length === MAX_SHOWN
      ? `The first ${MAX_SHOWN} symbols`
      : `${matches.length} ${matches.length === 1 ? "symbol" : "symbols"}`;
  return (
    <Dialog title="Find a symbol" onClose={onClose} className="search-dialog">
      <input
        className="input"
        type="text"
        role="combobox"
        aria-label="Symbol"
        aria-expanded={matches.length > 0}
        aria-controls={`${id}-list`}
        aria-autocomplete="list"
        aria-activedescendant={matches.length > 0 ? `${id}-${active}` : undefined}
        autoComplete="off"
        autoCapitalize="characters"
        spellCheck={false}
        data-autofocus
        value={text}
        onChange={(event) => {
          setText(event.target.value);
          setIndex(0);
        }}
        onKeyDown={handleKey}
      />
      <ul
        id={`${id}-list`}
        role="listbox"
        aria-label="Symbols"
        className="symbol-choices"
        hidden={matches.length === 0}
      >
        {matches.map((symbol, position) => (
          // biome-ignore lint/a11y: the focus and the keys are those of the combo box.
          <li
            key={symbol}
            id={`${id}-${position}`}
            role="option"
            aria-selected={position === active}
            onClick={() => choose(symbol)}
          >
            {symbol}
          </li>
        ))}
      </ul>
      <p className="soft" role="status">
        {symbols.length === 0
          ? "Waiting for the first prices…"
          : matches.length === 0
            ? `No symbol contains “${text.trim()}”.`
            : `${found}. Enter chooses, Esc closes.`}
      </p>
    </Dialog>
  );
}
