import { ApiError, type Configuration } from "@tapewire/client";
import { type FormEvent, useId, useState } from "react";

import { Dialog, ErrorText, errorMessage } from "../../components/index.js";
import type { Views } from "./use-views.js";
import { parseList } from "./view-rule.js";

export interface ViewDialogProps {
  /** The view to change; null to create one. */
  readonly view: Configuration | null;
  readonly views: Views;
  readonly onSaved: (id: string) => void;
  readonly onClose: () => void;
}

/** Creates, changes and deletes a view of news items. */
export function ViewDialog({ view, views, onSaved, onClose }: ViewDialogProps) {
  const id = useId();
  const [name, setName] = useState(view?.name ?? "");
  const [tickers, setTickers] = useState(view?.tickers.join(", ") ?? "");
  const [tags, setTags] = useState(view?.tags.join(", ") ?? "");
  const [errors, setErrors] = useState<Readonly<Record<string, string>>>({});
  const [isBusy, setBusy] = useState(false);
  const [isSure, setSure] = useState(false);

  function fail(field: string, message: string) {
    setErrors({ [field]: message });
    document.getElementById(`${id}-${field}`)?.focus();
  }

  async function act(run: () => Promise<void>) {
    if (isBusy) return;
    setBusy(true);
    try {
      await run();
      onClose();
    } catch (error) {
      const field =
        error instanceof ApiError ? error.path?.replace(/^\$\.?/, "").split(/[.[]/)[0] : undefined;
      const isShown = field !== undefined && ["name", "tickers", "tags"].includes(field);
      fail(isShown ? field : "form", errorMessage(error));
      setBusy(false);
    }
  }

  function save(event: FormEvent) {
    event.preventDefault();
    const body = { name: name.trim(), tickers: parseList(tickers), tags: parseList(tags) };
    if (body.name === "") return fail("name", "Enter a name.");
    if (body.tickers.length === 0) return fail("tickers", "Enter at least one ticker.");
    void act(async () => onSaved((await views.save(body, view?.id ?? null)).id));
  }

  const field = (
    key: string,
    label: string,
    unit: string,
    value: string,
    onChange: (value: string) => void,
  ) => (
    <div className="field">
      <label htmlFor={`${id}-${key}`}>
        {label} <span className="unit">{unit}</span>
      </label>
      <input
        id={`${id}-${key}`}
        className="input"
        value={value}
        aria-invalid={errors[key] !== undefined}
        aria-describedby={`${id}-${key}-error`}
        spellCheck="false"
        onChange={(event) => {
          onChange(event.target.value);
          setErrors({});
        }}
      />
      <ErrorText id={`${id}-${key}-error`}>{errors[key]}</ErrorText>
    </div>
  );

  return (
    <Dialog title={view ? `Change ${view.name}` : "New view"} onClose={onClose}>
      <form className="form-grid" onSubmit={save} noValidate>
        {field("name", "Name", "", name, setName)}
        {field("tickers", "Tickers", "one of these", tickers, setTickers)}
        {field("tags", "Tags", "optional, one of these", tags, setTags)}
        <ErrorText isAlert>{errors.form}</ErrorText>
        <div className="dialog-buttons">
          {view && (
            <button
              type="button"
              className="button danger"
              onClick={() => (isSure ? void act(() => views.remove(view.id)) : setSure(true))}
            >
              {isSure ? "Press again to delete" : "Delete the view"}
            </button>
          )}
          <button type="button" className="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" className="button primary" aria-disabled={isBusy}>
            {view ? "Change the view" : "Create the view"}
          </button>
        </div>
      </form>
    </Dialog>
  );
}
