import { closePopover, Popover } from "../../components/popover.js";
import type { PanelDefinition } from "../../panels/registry.js";
import type { LayoutAction } from "./layout.js";

export interface PanelMenuProps {
  readonly panel: PanelDefinition;
  readonly dispatch: (action: LayoutAction) => void;
}

/** Everything that the pointer can do with a panel, as buttons. */
export function PanelMenu({ panel: { id, title }, dispatch }: PanelMenuProps) {
  const move = (dx: number, dy: number) => () => dispatch({ type: "move", id, dx, dy });
  const resize = (dw: number, dh: number) => () => dispatch({ type: "resize", id, dw, dh });
  return (
    <Popover
      button={<span aria-hidden="true">⋯</span>}
      label={`${title}: move, size, close`}
      title={`Panel ${title}`}
      onClose={() => dispatch({ type: "settle" })}
    >
      <fieldset className="popover-grid" aria-label={`Move ${title}`}>
        <button type="button" className="button small" onClick={move(-1, 0)}>
          ← Left
        </button>
        <button type="button" className="button small" onClick={move(1, 0)}>
          Right →
        </button>
        <button type="button" className="button small" onClick={move(0, -1)}>
          ↑ Up
        </button>
        <button type="button" className="button small" onClick={move(0, 1)}>
          Down ↓
        </button>
      </fieldset>
      <fieldset className="popover-grid" aria-label={`Size of ${title}`}>
        <button type="button" className="button small" onClick={resize(-1, 0)}>
          Narrower
        </button>
        <button type="button" className="button small" onClick={resize(1, 0)}>
          Wider
        </button>
        <button type="button" className="button small" onClick={resize(0, -1)}>
          Shorter
        </button>
        <button type="button" className="button small" onClick={resize(0, 1)}>
          Taller
        </button>
      </fieldset>
      <button
        type="button"
        className="button small"
        onClick={({ currentTarget }) => {
          closePopover(currentTarget);
          dispatch({ type: "close", id });
          document.getElementById("main")?.focus();
        }}
      >
        Close the panel
      </button>
    </Popover>
  );
}
