import { useCallback, useRef, useState } from "react";

import type { WorkspaceId } from "../../panels/registry.js";
import { readStored, writeStored } from "../stored-state.js";
import {
  defaultLayout,
  isStoredLayout,
  LAYOUT_VERSION,
  type Layout,
  type LayoutAction,
  reduceLayout,
  restoreLayout,
  type StoredLayout,
} from "./layout.js";

/** The layout of a workspace, remembered in the browser. `preview` shows one without remembering it. */
export function useLayout(workspace: WorkspaceId) {
  const key = `layout.${workspace}`;
  const [layout, setLayout] = useState<Layout>(() => {
    const stored = readStored<StoredLayout | null>("local", key, null, isStoredLayout);
    return stored === null ? defaultLayout(workspace) : restoreLayout(stored);
  });
  const newest = useRef(layout);

  const preview = useCallback((next: Layout) => {
    newest.current = next;
    setLayout(next);
  }, []);

  const dispatch = useCallback(
    (action: LayoutAction) => {
      const next = reduceLayout(newest.current, action);
      preview(next);
      writeStored("local", key, { version: LAYOUT_VERSION, panels: next } satisfies StoredLayout);
    },
    [key, preview],
  );
  return { layout, dispatch, preview };
}
