import type { ReactNode } from "react";

/** A row of filters and buttons at the top of a panel. */
export function PanelToolbar({
  label,
  children,
}: {
  readonly label: string;
  readonly children: ReactNode;
}) {
  return (
    <fieldset className="panel-toolbar" aria-label={label}>
      {children}
    </fieldset>
  );
}
