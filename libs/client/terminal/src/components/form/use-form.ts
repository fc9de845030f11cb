import type { ApiError } from "@tapewire/client";
import { useCallback, useState } from "react";

import { errorMessage } from "../error-text.js";

/** What is wrong, by the name of a field; `form` for what no field can say. */
export type FormErrors = Readonly<Record<string, string>>;

/** What the fields mean, or what is wrong with them. */
export type FormRead<B> = { readonly body: B } | { readonly errors: FormErrors };

export interface Form<F> {
  /** What is typed and chosen. */
  readonly fields: F;
  readonly errors: FormErrors;
  readonly isBusy: boolean;
  /** How often a submit has failed; the focus then goes to the first field with an error. */
  readonly failures: number;
  change(changed: Partial<F>): void;
  /** Save what was read, unless it is wrong or something is being saved. Errors of `save` are shown. */
  submit<B>(read: FormRead<B>, save: (body: B) => Promise<unknown>): void;
}

/**
 * The fields of a form, their errors, and whether it is being saved.
 *
 * @param fieldOf  the field that shows an error of the server; undefined for the whole form
 */
export function useForm<F>(
  initial: F | (() => F),
  fieldOf: (error: Partial<Pick<ApiError, "field" | "path">>) => string | undefined,
): Form<F> {
  const [fields, setFields] = useState(initial);
  const [errors, setErrors] = useState<FormErrors>({});
  const [failures, setFailures] = useState(0);
  const [isBusy, setBusy] = useState(false);

  const change = useCallback((changed: Partial<F>) => {
    setFields((previous) => ({ ...previous, ...changed }));
    setErrors({});
  }, []);

  function fail(wrong: FormErrors) {
    setErrors(wrong);
    setFailures((previous) => previous + 1);
  }

  async function run<B>(read: FormRead<B>, save: (body: B) => Promise<unknown>) {
    if (isBusy) return;
    if ("errors" in read) return fail(read.errors);
    setErrors({});
    setBusy(true);
    try {
      await save(read.body);
    } catch (error) {
      fail({ [fieldOf(error as object) ?? "form"]: errorMessage(error) });
    } finally {
      setBusy(false);
    }
  }

  return {
    fields,
    errors,
    isBusy,
    failures,
    change,
    submit: (read, save) => void run(read, save),
  };
}
