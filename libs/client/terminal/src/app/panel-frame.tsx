import type { SessionState } from "@tapewire/client";
import { type CSSProperties, type HTMLAttributes, type ReactNode, Suspense, useRef } from "react";

import { EmptyState } from "../components/empty-state.js";
import type { PanelDefinition } from "../panels/registry.js";
import { ErrorBoundary } from "./error-boundary.js";
import { useKeptFocus } from "./use-kept-focus.js";

/** The id of the heading of a panel; `#panel-ticket` is the panel itself. */
export const headingId = (id: string) => `panel-${id}-title`;

/** What stands between somebody and a panel. */
export type AccessState = "open" | "loading" | "sign-in" | "admins-only";

export function accessTo(
  { access }: Pick<PanelDefinition, "access">,
  session: SessionState,
): AccessState {
  if (access === "public") return "open";
  if (session.name === "loading" || session.name === "unreachable") return "loading";
  if (session.name === "signed-out") return "sign-in";
  return access === "admin" && !session.roles.includes("admin") ? "admins-only" : "open";
}

export interface PanelFrameProps {
  readonly panel: PanelDefinition;
  readonly session: SessionState;
  readonly onSignIn: () => void;
  readonly actions?: ReactNode;
  readonly headHandlers?: HTMLAttributes<HTMLElement>;
  readonly corner?: ReactNode;
  readonly style?: CSSProperties;
}

/** The frame of a panel: heading, error boundary, loading text, and what is shown to somebody without access. */
export function PanelFrame({
  panel,
  session,
  onSignIn,
  actions,
  headHandlers,
  corner,
  style,
}: PanelFrameProps) {
  const { id, title, component: Content } = panel;
  const access = accessTo(panel, session);
  const body = useRef<HTMLDivElement>(null);
  useKeptFocus(body, headingId(id));
  // The content of one user never stays for the next.
  const contentKey =
    panel.access !== "public" && session.name === "signed-in" ? session.userId : "all";
  return (
    <section
      className="panel"
      id={`panel-${id}`}
      data-form={panel.isForm}
      aria-labelledby={headingId(id)}
      style={style}
    >
      <div className="panel-head" {...headHandlers}>
        <h2 className="panel-title" id={headingId(id)} tabIndex={-1}>
          {title}
        </h2>
        {actions}
      </div>
      <div className="panel-body" ref={body}>
        {access === "open" && (
          <ErrorBoundary name={title} key={contentKey}>
            <Suspense fallback={<p className="panel-loading">Loading {title.toLowerCase()}…</p>}>
              <Content panelId={id} headingId={headingId(id)} />
            </Suspense>
          </ErrorBoundary>
        )}
        {access === "loading" && <p className="panel-loading">Waiting for the sign-in…</p>}
        {access === "sign-in" && (
          <EmptyState
            title="Sign in to use this panel"
            text={panel.description}
            action={{ label: "Sign in", onPress: onSignIn }}
          />
        )}
        {access === "admins-only" && (
          <EmptyState
            title="For admins"
            text="Sign in with the role “admin” to see this."
            action={{ label: "Sign in as somebody else", onPress: onSignIn }}
          />
        )}
      </div>
      {corner}
    </section>
  );
}
