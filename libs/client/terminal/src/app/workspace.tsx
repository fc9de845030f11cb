import type { SessionState } from "@tapewire/client";
import type { Dispatch } from "react";
import { Desk } from "./desk/desk.js";
import type { Layout, LayoutAction } from "./desk/layout.js";
import { Phone } from "./phone.js";
import type { Route } from "./routes.js";

export interface WorkspaceProps {
  readonly route: Route;
  readonly isDesk: boolean;
  readonly layout: Layout;
  readonly dispatch: Dispatch<LayoutAction>;
  readonly onPreview: (layout: Layout) => void;
  readonly session: SessionState;
  readonly onSignIn: () => void;
}

/** The panels of a page, for a desk or for a phone. */
export function Workspace({
  route,
  isDesk,
  layout,
  dispatch,
  onPreview,
  session,
  onSignIn,
}: WorkspaceProps) {
  if (route.workspace === null) {
    return (
      <div className="empty-state">
        <p className="empty-title">There is no such page.</p>
        <p>
          <a href="/">Go to Trade</a>
        </p>
      </div>
    );
  }
  if (!isDesk)
    return <Phone key={route.tab} tab={route.tab} session={session} onSignIn={onSignIn} />;
  const { workspace } = route;
  return (
    <Desk
      layout={layout}
      dispatch={dispatch}
      onPreview={onPreview}
      onReset={() => dispatch({ type: "reset", workspace })}
      session={session}
      onSignIn={onSignIn}
    />
  );
}
