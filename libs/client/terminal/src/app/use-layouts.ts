import type { WorkspaceId } from "../panels/registry.js";
import { useLayout } from "./desk/use-layout.js";

/** The layouts of all pages, so that going to another page and back loses nothing. */
export function useLayouts() {
  const layouts: Record<WorkspaceId, ReturnType<typeof useLayout>> = {
    trade: useLayout("trade"),
    strategies: useLayout("strategies"),
    news: useLayout("news"),
    operations: useLayout("operations"),
  };
  return layouts;
}
