/** The parts that panels are made of. */

export { EmptyState, type EmptyStateProps } from "./empty-state.js";
export { ErrorText, errorMessage } from "./error-text.js";
export { Field, optionsOf, SelectField, TextField } from "./form/field.js";
export { type FormErrors, type FormRead, useForm } from "./form/use-form.js";
export { ListState, LoadState } from "./list-state.js";
export { useNow } from "./now.js";
export { NumberField, type NumberFieldProps } from "./number-field.js";
export { PanelToolbar } from "./panel-toolbar.js";
export { DataTable } from "./table/data-table.js";
export { RowButton } from "./table/row.js";
export { timeColumn } from "./table/time-column.js";
export type { Column, DataTableProps, Sort } from "./table/types.js";
export { useStoreRows } from "./table/use-store-rows.js";
export { useAttempt } from "./use-attempt.js";
export {
  Age,
  Change,
  type Direction,
  directionOf,
  Money,
  Percent,
  Price,
  Quantity,
  Time,
} from "./values.js";
