import type { ReactNode } from "react";

export interface ErrorTextProps {
  readonly id?: string;
  readonly children?: ReactNode;
  /** Read out at once; for errors of a whole form, not of a field. */
  readonly isAlert?: boolean;
}

/** An error in words. Renders nothing without children. */
export function ErrorText({ id, children, isAlert = false }: ErrorTextProps) {
  if (children === undefined || children === null || children === "" || children === false)
    return null;
  return (
    <p
      id={id}
      className={isAlert ? "form-error" : "field-error"}
      role={isAlert ? "alert" : undefined}
    >
      <span aria-hidden="true">⚠ </span>
      {children}
    </p>
  );
}

/** The message of anything that was thrown. */
export function errorMessage(error: unknown): string {
  return error instanceof Error && error.message !== "" ? error.message : "Something went wrong.";
}
