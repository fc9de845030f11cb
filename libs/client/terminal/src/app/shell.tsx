import { useReadable, useTapewire } from "@tapewire/react";
import { lazy, Suspense, useCallback, useEffect, useMemo, useRef, useState } from "react";

import { SymbolDialog } from "../components/dialogs.js";
import { errorMessage } from "../components/error-text.js";
import { lazyDialog } from "../components/lazy-dialog.js";
import type { Formats } from "../format/index.js";
import { CommandContext, useCommandRegistry, useKeyboard } from "../keys/commands.js";
import { PANELS, type PanelId, type WorkspaceId } from "../panels/registry.js";
import { type Announce, useAnnouncer } from "./announcer.js";
import { ArrivalNotices } from "./arrival-notices.js";
import { Header } from "./header.js";
import { PhoneTabs } from "./phone.js";
import { usePreferences } from "./preferences.js";
import { navigate, pathOf, useRoute, WORKSPACES } from "./routes.js";
import { ShellNotices } from "./shell-notices.js";
import { focusPanel } from "./show-panel.js";
import { StatusBar, StatusStrip } from "./status-bar.js";
import { useStoredState } from "./stored-state.js";
import {
  FormatsContext,
  type Terminal,
  TerminalContext,
  type TicketDraft,
  type TicketRequest,
} from "./terminal-context.js";
import { Toasts, useToasts } from "./toasts.js";
import { useAccountNotice, useAnnouncedStatus } from "./use-announced-state.js";
import { useIsDesk } from "./use-is-desk.js";
import { useLayouts } from "./use-layouts.js";
import { useSelectedSymbol } from "./use-selected-symbol.js";
import { Workspace } from "./workspace.js";

const HelpDialog = lazyDialog(() =>
  import("../keys/help-dialog.js").then((module) => module.HelpDialog),
);
const SignInDialog = lazyDialog(() =>
  import("./sign-in-dialog.js").then((module) => module.SignInDialog),
);
const FirstSteps = lazy(() => import("./first-steps/first-steps.js"));

type OpenDialog = "search" | "help" | "sign-in" | null;

/** Not a page: a panel that needs somebody signed in goes there. */
const SIGN_IN = "/sign-in";
const NO_COUNT = { get: () => 0, subscribe: () => () => undefined };

/** The page around the panels. */
export function Shell({ formats }: { readonly formats: Formats }) {
  const client = useTapewire();
  const session = useReadable(client.session);
  const isSignedIn = session.name === "signed-in";
  const unread = useReadable(isSignedIn ? client.notifications.unread : NO_COUNT);
  const route = useRoute();
  const workspace = route.workspace ?? "trade";
  const isDesk = useIsDesk();
  const layouts = useLayouts();
  const { layout, dispatch, preview } = layouts[workspace];
  const preferences = usePreferences();
  const { symbol, hasChosenSymbol, selectSymbol } = useSelectedSymbol();
  const { announce, regions } = useAnnouncer();
  const { toasts, showToast, dismiss } = useToasts(announce);
  const status = useAnnouncedStatus(useReadable(client.connection.status), announce);
  const account = useAccountNotice(session, announce);
  const [dialog, setDialog] = useState<OpenDialog>(null);
  const [isGuided, setGuided] = useStoredState("first-steps.shown", true, { storage: "local" });
  const [ticketRequest, setTicketRequest] = useState<TicketRequest | null>(null);
  const commands = useCommandRegistry();
  useKeyboard(commands, preferences.areLettersOn, dialog !== null);
  const page = WORKSPACES.find(({ id }) => id === route.workspace)?.title ?? "Not found";
  usePageTitle(page, unread);
  useSaidPage(page, announce);

  const showPanel = useNewest((id: PanelId, target: "heading" | "form" = "heading") => {
    const panel = PANELS.find((candidate) => candidate.id === id);
    if (!panel) return;
    if (isDesk) {
      const home = (Object.keys(panel.places) as WorkspaceId[])[0];
      const isHere = layout.some((placed) => placed.id === id);
      if (!isHere && home !== undefined && home !== workspace) {
        layouts[home].dispatch({ type: "open", id });
        navigate(pathOf(home));
      } else dispatch({ type: "open", id });
    } else navigate(pathOf(panel.tab));
    focusPanel(id, target);
  });
  const openTicket = useCallback(
    (draft: TicketDraft) => {
      if (draft.symbol !== undefined) selectSymbol(draft.symbol);
      setTicketRequest((previous) => ({ ...draft, number: (previous?.number ?? 0) + 1 }));
      showPanel("ticket", "form");
    },
    [selectSymbol, showPanel],
  );
  const openPanel = useCallback((id: PanelId) => showPanel(id), [showPanel]);

  const goTo = useCallback(
    (path: string) => (path === SIGN_IN ? setDialog("sign-in") : navigate(path)),
    [],
  );

  const terminal = useMemo<Terminal>(
    () => ({
      symbol,
      selectSymbol,
      ticketRequest,
      openTicket,
      openPanel,
      navigate: goTo,
      showToast,
      announce,
      formats,
    }),
    [
      symbol,
      selectSymbol,
      ticketRequest,
      openTicket,
      openPanel,
      goTo,
      showToast,
      announce,
      formats,
    ],
  );

  useEffect(() => {
    const draft = (side: "buy" | "sell") => () =>
      void openTicket(symbol === null ? { side } : { symbol, side });
    const ends = [
      commands.registerLast("search-symbol", () => void setDialog("search")),
      commands.registerLast("cancel-order", () => void announce("No open order is selected.")),
      commands.registerLast("help", () => void setDialog("help")),
      commands.registerLast("buy", draft("buy")),
      commands.registerLast("sell", draft("sell")),
      commands.registerLast(
        "close",
        () => void document.getElementById("main")?.focus({ preventScroll: true }),
      ),
      ...PANELS.filter(({ key }) => key !== undefined).map(({ id }) =>
        commands.registerLast(`go:${id}`, () => void openPanel(id)),
      ),
    ];
    return () => {
      for (const end of ends) end();
    };
  }, [commands, symbol, openTicket, openPanel, announce]);

  async function signOut() {
    try {
      await client.signOut();
      document.getElementById("main")?.focus();
    } catch (error) {
      showToast({ title: "You are not signed out.", text: errorMessage(error), kind: "bad" });
    }
  }

  const closeDialog = () => setDialog(null);
  const signIn = () => setDialog("sign-in");
  return (
    <TerminalContext value={terminal}>
      <FormatsContext value={formats}>
        <CommandContext value={commands}>
          <div className="shell" data-layout={isDesk ? "desk" : "phone"}>
            {/* biome-ignore lint/a11y/useValidAnchor: it is a link, which only must not change the address. */}
            <a
              className="skip-link"
              href="#main"
              onClick={(event) => {
                event.preventDefault();
                document.getElementById("main")?.focus();
              }}
            >
              Skip to the panels
            </a>
            <Header
              workspace={route.workspace}
              session={session}
              symbol={symbol}
              unread={unread}
              isDesk={isDesk}
              openPanels={new Set(layout.map(({ id }) => id))}
              preferences={preferences}
              onSearch={() => setDialog("search")}
              onHelp={() => setDialog("help")}
              onSignIn={signIn}
              onSignOut={() => void signOut()}
              onOpenInbox={() => openPanel("notifications")}
              onTogglePanel={(id) =>
                dispatch({ type: layout.some((panel) => panel.id === id) ? "close" : "open", id })
              }
              onResetLayout={() => dispatch({ type: "reset", workspace })}
            />
            <section className="strips" aria-label="State of the page">
              <StatusStrip text={status} />
              <ShellNotices account={account} session={session} onSignIn={signIn} />
            </section>
            <main id="main" tabIndex={-1} aria-label={page}>
              {isGuided && (
                <Suspense>
                  <FirstSteps
                    hasChosenSymbol={hasChosenSymbol}
                    onSignIn={signIn}
                    onFindSymbol={() => setDialog("search")}
                    onDismiss={() => setGuided(false)}
                  />
                </Suspense>
              )}
              <Workspace
                route={route}
                isDesk={isDesk}
                layout={layout}
                dispatch={dispatch}
                onPreview={preview}
                session={session}
                onSignIn={signIn}
              />
            </main>
            <Toasts toasts={toasts} onDismiss={dismiss} />
            {isSignedIn && <ArrivalNotices />}
            <footer className="footer">
              <StatusBar />
            </footer>
            {!isDesk && (
              <PhoneTabs
                tab={route.tab}
                isAdmin={isSignedIn && session.roles.includes("admin")}
                unread={unread}
              />
            )}
            {regions}
          </div>
          {dialog === "search" && <SymbolDialog onChoose={selectSymbol} onClose={closeDialog} />}
          {dialog === "sign-in" && <SignInDialog onClose={closeDialog} />}
          {dialog === "help" && (
            <HelpDialog
              areLettersOn={preferences.areLettersOn}
              onLettersChange={preferences.setLettersOn}
              onShowFirstSteps={() => {
                setGuided(true);
                closeDialog();
              }}
              onClose={closeDialog}
            />
          )}
        </CommandContext>
      </FormatsContext>
    </TerminalContext>
  );
}

function usePageTitle(page: string, unread: number): void {
  useEffect(() => {
    document.title = `${unread > 0 ? `(${unread}) ` : ""}${page} · Tapewire`;
  }, [page, unread]);
}

/** Screen readers hear where they are after a press on a link, which loads nothing. */
function useSaidPage(page: string, announce: Announce): void {
  const said = useRef(page);
  useEffect(() => {
    if (said.current === page) return;
    said.current = page;
    announce(`Page ${page}.`);
  }, [page, announce]);
}

/** A function that stays the same and calls the newest one. */
function useNewest<A extends unknown[]>(callback: (...args: A) => void): (...args: A) => void {
  const newest = useRef(callback);
  useEffect(() => {
    newest.current = callback;
  });
  return useCallback((...args: A) => newest.current(...args), []);
}
