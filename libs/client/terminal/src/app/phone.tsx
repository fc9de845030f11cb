import type { SessionState } from "@tapewire/client";

import { PANELS, type PanelTab } from "../panels/registry.js";
import { PanelFrame } from "./panel-frame.js";
import { isPlainPress, navigate, TABS } from "./routes.js";

export interface PhoneProps {
  readonly tab: PanelTab;
  readonly session: SessionState;
  readonly onSignIn: () => void;
}

/** The panels of one tab in one column. */
export function Phone({ tab, session, onSignIn }: PhoneProps) {
  return (
    <div className="phone">
      {PANELS.filter((panel) => panel.tab === tab).map((panel) => (
        <PanelFrame key={panel.id} panel={panel} session={session} onSignIn={onSignIn} />
      ))}
    </div>
  );
}

const MARKS: Record<PanelTab, string> = {
  Market: "◷",
  Trade: "⇅",
  Positions: "▤",
  Strategies: "⚙",
  News: "✉",
  Operations: "⌁",
};

export interface PhoneTabsProps {
  readonly tab: PanelTab;
  readonly isAdmin: boolean;
  readonly unread: number;
}

export function PhoneTabs({ tab, isAdmin, unread }: PhoneTabsProps) {
  return (
    <nav className="phone-tabs" aria-label="Pages">
      {TABS.filter((entry) => entry.tab !== "Operations" || isAdmin || tab === "Operations").map(
        (entry) => (
          <a
            key={entry.tab}
            href={entry.href}
            aria-current={entry.tab === tab ? "page" : undefined}
            onClick={(event) => {
              if (!isPlainPress(event)) return;
              event.preventDefault();
              navigate(entry.href);
            }}
          >
            <span aria-hidden="true" className="tab-mark">
              {MARKS[entry.tab]}
            </span>
            {entry.tab}
            {entry.tab === "News" && unread > 0 && (
              <span className="badge">
                {unread > 99 ? "99+" : unread}
                <span className="sr-only"> unread</span>
              </span>
            )}
          </a>
        ),
      )}
    </nav>
  );
}
