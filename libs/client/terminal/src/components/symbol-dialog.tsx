import { useSymbols } from "@tapewire/react";
import { useRef, useState } from "react";
import { Autocomplete } from "react-aria-components/Autocomplete";
import { Input } from "react-aria-components/Input";
import { ListBox, ListBoxItem } from "react-aria-components/ListBox";
import { TextField } from "react-aria-components/TextField";

import { Dialog } from "./dialog.js";
import { matchingSymbols } from "./symbol-filter.js";

const MAX_SHOWN = 50;

export interface SymbolDialogProps {
  readonly onChoose: (symbol: string) => void;
  readonly onClose: () => void;
}

/** A combo box over all symbols that have prices, with its list below it in a modal dialog. */
export function SymbolDialog({ onChoose, onClose }: SymbolDialogProps) {
  const symbols = useSymbols();
  const [text, setText] = useState("");
  const matches = matchingSymbols(symbols, text).slice(0, MAX_SHOWN);

  const list = useRef<HTMLDivElement>(null);

  /** Enter takes the option that is marked, which React Aria does, or else the first. */
  function chooseFirst() {
    const [first] = matches;
    const isMarked = list.current?.querySelector("[data-focused]") !== null;
    if (!isMarked && first !== undefined) choose(first);
  }

  function choose(symbol: string) {
    onClose();
    onChoose(symbol);
  }

  return (
    <Dialog title="Find a symbol" onClose={onClose} className="search-dialog">
      <Autocomplete inputValue={text} onInputChange={setText}>
        <TextField
          aria-label="Symbol"
          onKeyDown={({ key, continuePropagation }) => {
            if (key === "Enter") chooseFirst();
            continuePropagation();
          }}
        >
          <Input
            className="input"
            role="combobox"
            aria-expanded={matches.length > 0}
            autoComplete="off"
            autoCapitalize="characters"
            spellCheck={false}
            data-autofocus
          />
        </TextField>
        <ListBox
          ref={list}
          aria-label="Symbols"
          className="symbol-choices"
          items={matches.map((id) => ({ id }))}
          onAction={(symbol) => choose(String(symbol))}
        >
          {({ id }) => <ListBoxItem textValue={id}>{id}</ListBoxItem>}
        </ListBox>
      </Autocomplete>
      <p className="soft" role="status">
        {statusOf(symbols.length, matches.length, text.trim())}
      </p>
    </Dialog>
  );
}

function statusOf(all: number, found: number, text: string): string {
  if (all === 0) return "Waiting for the first prices…";
  if (found === 0) return `No symbol contains “${text}”.`;
  const count =
    found === MAX_SHOWN
      ? `The first ${MAX_SHOWN} symbols`
      : `${found} ${found === 1 ? "symbol" : "symbols"}`;
  return `${count}. Enter chooses, Esc closes.`;
}
