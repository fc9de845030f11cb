import { useSymbols } from "@tapewire/react";
import { useMemo, useState } from "react";
import { ComboBox, Input, ListBox, ListBoxItem, Popover } from "react-aria-components/ComboBox";

import { matchingSymbols } from "./symbol-filter.js";

/** Entries that the list shows; more need more letters. */
const MAX_SHOWN = 60;

export interface SymbolSearchProps {
  readonly labelledBy: string;
  readonly symbol: string | null;
  readonly onSelect: (symbol: string) => void;
  /** Called when the search is left without a choice. */
  readonly onClose: () => void;
}

/** A search among all symbols, opened and focused. */
export default function SymbolSearch({ labelledBy, symbol, onSelect, onClose }: SymbolSearchProps) {
  const symbols = useSymbols();
  const [query, setQuery] = useState("");
  const matching = useMemo(() => matchingSymbols(symbols, query), [symbols, query]);
  const shown = useMemo(() => matching.slice(0, MAX_SHOWN).map((id) => ({ id })), [matching]);
  const hidden = matching.length - shown.length;

  return (
    <ComboBox
      aria-labelledby={labelledBy}
      className="symbol-search"
      items={shown}
      inputValue={query}
      onInputChange={setQuery}
      selectedKey={null}
      onSelectionChange={(key) => key !== null && onSelect(String(key))}
      menuTrigger="focus"
      allowsEmptyCollection
      autoFocus
      onBlur={onClose}
      onKeyDown={(event) => event.key === "Escape" && onClose()}
    >
      <Input
        className="input"
        placeholder={symbol ?? "Symbol"}
        autoCapitalize="characters"
        spellCheck="false"
      />
      <Popover className="symbol-popover" offset={4}>
        <ListBox
          className="symbol-list"
          renderEmptyState={() => <p className="empty-text">No symbol matches “{query}”.</p>}
        >
          {({ id }: { id: string }) => (
            <ListBoxItem id={id} textValue={id} className="symbol-option">
              {id}
            </ListBoxItem>
          )}
        </ListBox>
        {hidden > 0 && <p className="symbol-more">{hidden} more: type more letters.</p>}
      </Popover>
    </ComboBox>
  );
}
