import type { Configuration } from "@tapewire/client";
import { useState } from "react";

import { FormDialog } from "../../components/form/form-dialog.js";
import { type FormRead, TextField, useForm } from "../../components/index.js";
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
  const form = useForm(
    {
      name: view?.name ?? "",
      tickers: view?.tickers.join(", ") ?? "",
      tags: view?.tags.join(", ") ?? "",
    },
    ({ path }) => /^(?:\$\.?)?(name|tickers|tags)\b/.exec(path ?? "")?.[1],
  );
  const { fields, errors, change } = form;
  const [isSure, setSure] = useState(false);

  function read(): FormRead<Parameters<Views["save"]>[0]> {
    const name = fields.name.trim();
    const tickers = parseList(fields.tickers);
    if (name === "") return { errors: { name: "Enter a name." } };
    if (tickers.length === 0) return { errors: { tickers: "Enter at least one ticker." } };
    return { body: { name, tickers, tags: parseList(fields.tags) } };
  }

  const save = () =>
    form.submit(read(), async (body) => {
      onSaved((await views.save(body, view?.id ?? null)).id);
      onClose();
    });
  const remove = ({ id }: Configuration) =>
    form.submit({ body: id }, async () => {
      await views.remove(id);
      onClose();
    });

  const field = (name: keyof typeof fields, label: string, unit?: string) => (
    <TextField
      label={label}
      unit={unit}
      value={fields[name]}
      spellCheck={false}
      onChange={(text) => change({ [name]: text })}
      error={errors[name]}
    />
  );
  return (
    <FormDialog
      title={view ? `Change ${view.name}` : "New view"}
      form={form}
      submitLabel={view ? "Change the view" : "Create the view"}
      buttons={
        view && (
          <button
            type="button"
            className="button danger"
            onClick={() => (isSure ? remove(view) : setSure(true))}
          >
            {isSure ? "Press again to delete" : "Delete the view"}
          </button>
        )
      }
      onSubmit={save}
      onClose={onClose}
    >
      {field("name", "Name")}
      {field("tickers", "Tickers", "one of these")}
      {field("tags", "Tags", "optional, one of these")}
    </FormDialog>
  );
}
