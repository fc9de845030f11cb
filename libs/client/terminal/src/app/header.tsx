import type { SessionState } from "@tapewire/client";
import { Choice } from "../components/choice.js";
import { closePopover, Popover } from "../components/popover.js";
import { PANELS, type PanelId, type WorkspaceId } from "../panels/registry.js";
import { accessTo } from "./panel-frame.js";
import { DENSITIES, type Preferences, THEMES } from "./preferences.js";
import { isPlainPress, navigate, WORKSPACES } from "./routes.js";

export interface HeaderProps {
  readonly workspace: WorkspaceId | null;
  readonly session: SessionState;
  readonly symbol: string | null;
  readonly unread: number;
  readonly isDesk: boolean;
  readonly openPanels: ReadonlySet<PanelId>;
  readonly preferences: Preferences;
  readonly onSearch: () => void;
  readonly onHelp: () => void;
  readonly onSignIn: () => void;
  readonly onSignOut: () => void;
  readonly onOpenInbox: () => void;
  readonly onTogglePanel: (id: PanelId) => void;
  readonly onResetLayout: () => void;
}

export function Header(props: HeaderProps) {
  const { workspace, session, symbol, unread, isDesk } = props;
  const isAdmin = session.name === "signed-in" && session.roles.includes("admin");
  return (
    <header className="bar">
      <h1 className="brand">
        <a href="/" onClick={follow("/")} aria-label="Tapewire">
          <img src="/icon.svg" alt="" width="24" height="24" />
          {isDesk && "Tapewire"}
        </a>
      </h1>
      {isDesk && (
        <nav className="bar-pages" aria-label="Pages">
          {WORKSPACES.filter(
            (entry) => !entry.isForAdmins || isAdmin || entry.id === workspace,
          ).map(({ id, path, title }) => (
            <a
              key={id}
              href={path}
              aria-current={id === workspace ? "page" : undefined}
              onClick={follow(path)}
            >
              {title}
            </a>
          ))}
        </nav>
      )}
      <button type="button" className="search-button" onClick={props.onSearch}>
        <span aria-hidden="true">⌕</span>{" "}
        <span className="search-symbol">{symbol ?? "Symbol"}</span>
        <span className="sr-only">: find a symbol</span>
        {isDesk && <kbd>/</kbd>}
      </button>
      <span className="bar-space" />
      {session.name === "signed-in" && (
        <button
          type="button"
          className="icon-button bell"
          onClick={props.onOpenInbox}
          aria-label={unread === 0 ? "Notifications" : `Notifications: ${unread} unread`}
        >
          <span aria-hidden="true">✉</span>
          {unread > 0 && (
            <span className="badge" aria-hidden="true">
              {unread > 99 ? "99+" : unread}
            </span>
          )}
        </button>
      )}
      {isDesk && <PanelsMenu {...props} />}
      <Settings {...props} />
      <Account
        session={session}
        isDesk={isDesk}
        onSignIn={props.onSignIn}
        onSignOut={props.onSignOut}
      />
    </header>
  );
}

const follow = (path: string) => (event: React.MouseEvent) => {
  if (!isPlainPress(event)) return;
  event.preventDefault();
  navigate(path);
};

function PanelsMenu({ session, openPanels, onTogglePanel, onResetLayout }: HeaderProps) {
  return (
    <Popover button="Panels" buttonClass="button small" title="Panels of this page">
      <ul className="panels-menu">
        {PANELS.filter((panel) => accessTo(panel, session) !== "admins-only").map(
          ({ id, title, description }) => (
            <li key={id}>
              <label className="check">
                <input
                  type="checkbox"
                  checked={openPanels.has(id)}
                  onChange={() => onTogglePanel(id)}
                />
                <span>
                  {title}
                  <span className="help">{description}</span>
                </span>
              </label>
            </li>
          ),
        )}
      </ul>
      <button
        type="button"
        className="button small"
        onClick={({ currentTarget }) => {
          closePopover(currentTarget);
          onResetLayout();
        }}
      >
        Reset the layout
      </button>
    </Popover>
  );
}

function Settings({ preferences, onHelp, onSignOut, session, isDesk }: HeaderProps) {
  const { theme, setTheme, density, setDensity } = preferences;
  return (
    <Popover
      button={<span aria-hidden="true">⚙</span>}
      label="Settings and help"
      title="Settings and help"
    >
      <Choice
        label="Theme"
        name="theme"
        options={options(THEMES)}
        value={theme}
        onChange={setTheme}
      />
      {isDesk && (
        <Choice
          label="Density"
          name="density"
          options={options(DENSITIES)}
          value={density}
          onChange={setDensity}
        />
      )}
      <button
        type="button"
        className="button small"
        onClick={({ currentTarget }) => {
          closePopover(currentTarget);
          onHelp();
        }}
      >
        Keys and help
      </button>
      {!isDesk && session.name === "signed-in" && (
        <button
          type="button"
          className="button small"
          onClick={({ currentTarget }) => {
            closePopover(currentTarget);
            onSignOut();
          }}
        >
          Sign out
        </button>
      )}
    </Popover>
  );
}

/** "Dark" for "dark". */
function options<T extends string>(values: readonly T[]) {
  return values.map((value) => [value, value.charAt(0).toUpperCase() + value.slice(1)] as const);
}

function Account({
  session,
  isDesk,
  onSignIn,
  onSignOut,
}: Pick<HeaderProps, "session" | "isDesk" | "onSignIn" | "onSignOut">) {
  if (session.name === "loading") return <span className="soft">…</span>;
  if (session.name !== "signed-in") {
    return (
      <button type="button" className="button small primary" onClick={onSignIn}>
        Sign in
      </button>
    );
  }
  return (
    <div className="bar-account">
      <span className="who">
        <span className="sr-only">Signed in as </span>
        <strong>{session.userId}</strong>
      </span>
      {isDesk && (
        <button type="button" className="button small" onClick={onSignOut}>
          Sign out
        </button>
      )}
    </div>
  );
}
