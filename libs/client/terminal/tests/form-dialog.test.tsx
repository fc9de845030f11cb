// @vitest-environment jsdom
import { act, cleanup, fireEvent, render, screen } from "@testing-library/react";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { SelectField, TextField } from "../src/components/form/field.js";
import { FormDialog } from "../src/components/form/form-dialog.js";
import { useForm } from "../src/components/form/use-form.js";

type Fields = { name: string; level: "low" | "high"; note: string };

const save = vi.fn<(name: string) => Promise<void>>();
const refusal = (field: string | undefined, message: string) =>
  Object.assign(new Error(message), { field });

function Example() {
  const form = useForm<Fields>({ name: "", level: "low", note: "" }, ({ field }) =>
    field === "note" ? field : undefined,
  );
  const { fields, errors, change } = form;
  const read =
    fields.name === ""
      ? { errors: { name: "Enter a name." } }
      : { body: `${fields.name} ${fields.level}` };
  return (
    <FormDialog
      title="New thing"
      form={form}
      submitLabel="Create it"
      onSubmit={() => form.submit(read, save)}
      onClose={() => undefined}
    >
      <SelectField
        label="Level"
        value={fields.level}
        options={[
          ["low", "Low"],
          ["high", "High"],
        ]}
        onChange={(level) => change({ level })}
      />
      <TextField
        label="Name"
        value={fields.name}
        onChange={(name) => change({ name })}
        error={errors.name}
      />
      <TextField
        label="Note"
        help="For you alone."
        value={fields.note}
        onChange={(note) => change({ note })}
        error={errors.note}
      />
    </FormDialog>
  );
}

const type = (label: string, value: string) =>
  fireEvent.change(screen.getByLabelText(label), { target: { value } });
const submit = () =>
  act(async () => void fireEvent.click(screen.getByRole("button", { name: "Create it" })));
const description = (label: string) =>
  (screen.getByLabelText(label).getAttribute("aria-describedby") ?? "")
    .split(" ")
    .map((id) => document.getElementById(id)?.textContent ?? "")
    .join(" ");

beforeEach(() => {
  HTMLDialogElement.prototype.showModal = function show() {
    this.open = true;
  };
  HTMLDialogElement.prototype.close = function close() {
    this.open = false;
  };
  save.mockReset().mockResolvedValue();
  render(<Example />);
});
afterEach(cleanup);

describe("a form in a dialog", () => {
  it("sends nothing that is wrong, and goes to the first field with an error", async () => {
    await submit();
    expect(save).not.toHaveBeenCalled();
    expect(document.activeElement).toBe(screen.getByLabelText("Name"));
    expect(screen.getByLabelText("Name").getAttribute("aria-invalid")).toBe("true");
    expect(description("Name")).toContain("Enter a name.");
    type("Name", "a");
    expect(screen.getByLabelText("Name").getAttribute("aria-invalid")).toBe("false");
  });

  it("shows an error of the server at the field that it names, beside its help", async () => {
    save.mockRejectedValueOnce(refusal("note", "The note is too long."));
    type("Name", "a");
    await submit();
    expect(document.activeElement).toBe(screen.getByLabelText("Note"));
    expect(description("Note")).toContain("The note is too long.");
    expect(description("Note")).toContain("For you alone.");
    expect(screen.queryByRole("alert")).toBeNull();
  });

  it.each([[undefined], ["price"]])(
    "reads out an error that no field of it can show (%s)",
    async (field) => {
      save.mockRejectedValueOnce(refusal(field, "The server is full."));
      type("Name", "a");
      await submit();
      expect(screen.getByRole("alert").textContent).toContain("The server is full.");
      type("Name", "ab");
      expect(screen.queryByRole("alert")).toBeNull();
    },
  );

  it("is saved once, however often it is submitted meanwhile", async () => {
    let finish: () => void = () => undefined;
    save.mockReturnValueOnce(
      new Promise((resolve) => {
        finish = resolve;
      }),
    );
    type("Name", "a");
    type("Level", "high");
    await submit();
    fireEvent.submit(screen.getByRole("dialog").querySelector("form") as HTMLFormElement);
    expect(screen.getByRole("button", { name: "Saving…" }).getAttribute("aria-disabled")).toBe(
      "true",
    );
    expect(save.mock.calls).toEqual([["a high"]]);
    await act(async () => finish());
    expect(screen.getByRole("button", { name: "Create it" })).toBeTruthy();
  });
});
