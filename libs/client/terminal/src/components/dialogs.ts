/** Dialogs that several places open. Each is loaded after the first view. */

import { lazyDialog } from "./lazy-dialog.js";

export const SymbolDialog = lazyDialog(() =>
  import("./symbol-dialog.js").then((module) => module.SymbolDialog),
);
export const ConfirmDialog = lazyDialog(() =>
  import("./confirm-dialog.js").then((module) => module.ConfirmDialog),
);
