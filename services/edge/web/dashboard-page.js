/**
 * The dashboard, served at `/dashboard`: live items and their metrics.
 *
 * This module connects the parts. Items need no session: they arrive from page load on, by stream
 * or by polling (`items-feed.js`). Signing in adds the user's views and notifications. Start reading
 * at the end.
 */

import { find, setText } from "./dom.js";
import { createFeedStatus } from "./feed-status.js";
import { createItemsFeed } from "./items-feed.js";
import { createItemsList } from "./items.js";
import { createMetricsPanel } from "./metrics.js";
import { createNotificationCenter } from "./notifications.js";
import { bindSignInForm, bindSignOutButton, fetchSession } from "./session.js";
import { showToast } from "./toasts.js";
import { createViewsPanel } from "./views.js";

/** @typedef {import("./session.js").Session} Session */

/**
 * The stream of a hidden tab closes after this time, because browsers allow six connections to a
 * server in total.
 */
const PAUSE_WHEN_HIDDEN_MS = 20_000;
const SESSION_RETRY_MS = 3_000;
/** Two streams rejected within this time end the session, even if the session request succeeds. */
const SESSION_LOSS_WINDOW_MS = 5_000;
/** The URL's query parameter with the id of the selected view, for bookmarks and reloads. */
const VIEW_PARAMETER = "view";

const notifications = createNotificationCenter({ onSignedOut: () => void handleSessionLoss() });
const feed = createItemsFeed({
  items: createItemsList(find("#items")),
  showMetrics: createMetricsPanel(),
  showState: createFeedStatus(),
  onEnd(state) {
    if (state.name === "signed-out") void handleSessionLoss();
    else if (shownView) void closeView();
  },
});
const views = createViewsPanel(find("#views"), {
  onPick: showView,
  onDeletedElsewhere: () => void closeView(),
});
const signIn = bindSignInForm(find("#sign-in"), (session) => void showSignedIn(session));

/**
 * The id of the view whose items the page shows; null for all items, undefined before the first.
 *
 * @type {string | null | undefined}
 */
let shownView;
let lastSessionLossAt = -Infinity;

/** @param {import("./views.js").View | null} view  null for all items */
function showView(view) {
  const url = new URL(location.href);
  if (view) url.searchParams.set(VIEW_PARAMETER, view.id);
  else url.searchParams.delete(VIEW_PARAMETER);
  history.replaceState(null, "", url);
  setText(find("#items-note"), view ? `of “${view.name}”` : "");
  // A view that is selected again is reopened, because its definition may have changed.
  if (view === null && shownView === null) return;
  openFeed(view?.id ?? null);
}

/** @param {string | null} viewId  null for all items */
function openFeed(viewId) {
  shownView = viewId;
  void feed.open(viewId);
}

/** Return to all items because the shown view was deleted, for example in another tab. */
async function closeView() {
  showToast("This view is no more; all items are shown.");
  await views.show("");
}

/** @param {Session} session */
async function showSignedIn(session) {
  setText(find("#user"), session.userId);
  find("#account").hidden = false;
  signIn.hide();
  notifications.open(session.userId);
  await views.show(new URL(location.href).searchParams.get(VIEW_PARAMETER) ?? "");
}

/** @param {string} reason  shown above the sign-in form; "" for none */
function showSignedOut(reason) {
  find("#account").hidden = true;
  notifications.close();
  views.hide();
  signIn.show(reason);
  showView(null);
}

/**
 * Handle a stream whose session has ended. Continue with the browser's current session if there is
 * one: another tab may have signed in again.
 */
async function handleSessionLoss() {
  const isRepeated = performance.now() - lastSessionLossAt < SESSION_LOSS_WINDOW_MS;
  lastSessionLossAt = performance.now();
  const session = isRepeated ? null : await fetchSession().catch(() => null);
  if (session) await showSignedIn(session);
  else showSignedOut("Your session has ended. Sign in again.");
}

/** Load the session, and retry until the server answers. */
async function restoreSession() {
  for (;;) {
    try {
      const session = await fetchSession();
      if (session) await showSignedIn(session);
      else showSignedOut("");
      return;
    } catch {
      // The feed's status shows that the server cannot be reached.
      if (shownView === undefined) openFeed(null);
      await new Promise((resolve) => setTimeout(resolve, SESSION_RETRY_MS));
    }
  }
}

/** @type {ReturnType<typeof setTimeout> | undefined} */
let hideTimer;
document.addEventListener("visibilitychange", () => {
  clearTimeout(hideTimer);
  if (document.visibilityState === "hidden") hideTimer = setTimeout(feed.pause, PAUSE_WHEN_HIDDEN_MS);
  else resume();
});

/** Resume the feed, and reload the views: other programs may have changed them. */
function resume() {
  feed.resume();
  void views.refresh();
}

find("#try-now").addEventListener("click", feed.retryNow);
bindSignOutButton(() => showSignedOut(""));

if (!new URL(location.href).searchParams.has(VIEW_PARAMETER)) openFeed(null);
void restoreSession();
