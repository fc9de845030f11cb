/**
 * The dashboard, served at `/dashboard`: live items and their metrics.
 *
 * This module connects the parts. Items need no session: they arrive from page load on, by stream
 * or by polling (`items-feed.js`). Signing in adds the user's views and notifications. Start reading
 * at the end.
 */

import { createAccount } from "./account.js";
import { find, setText } from "./dom.js";
import { createFeedStatus } from "./feed-status.js";
import { createItemsFeed } from "./items-feed.js";
import { createItemsList } from "./items.js";
import { createMetricsPanel } from "./metrics.js";
import { createNotificationCenter } from "./notifications.js";
import { showToast } from "./toasts.js";
import { createViewsPanel } from "./views.js";

/**
 * The stream of a hidden tab closes after this time, because browsers allow six connections to a
 * server in total.
 */
const PAUSE_WHEN_HIDDEN_MS = 20_000;
/** The URL's query parameter with the id of the selected view, for bookmarks and reloads. */
const VIEW_PARAMETER = "view";

const account = createAccount(find("#sign-in"), {
  onSignedIn: (userId) => void showSignedIn(userId),
  onSignedOut: showSignedOut,
  onUnreachable() {
    // The feed's status shows that the server cannot be reached.
    if (shownView === undefined) openFeed(null);
  },
});
const notifications = createNotificationCenter(account);
const feed = createItemsFeed({
  items: createItemsList(find("#items")),
  showMetrics: createMetricsPanel(),
  showState: createFeedStatus(),
  onEnd(state) {
    if (state.name === "signed-out") account.handleLostStream(shownUserId);
    else if (shownView) void closeView();
  },
});
const views = createViewsPanel(find("#views"), account, {
  onPick: showView,
  onDeletedElsewhere: () => void closeView(),
});

/**
 * The id of the view whose items the page shows; null for all items, undefined before the first.
 *
 * @type {string | null | undefined}
 */
let shownView;
/** The user whose views the page shows; "" for none. */
let shownUserId = "";

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
  void feed.open(viewId, shownUserId);
}

/** Return to all items because the shown view was deleted, for example in another tab. */
async function closeView() {
  showToast("This view is no more; all items are shown.");
  await views.show("");
}

/** @param {string} userId */
async function showSignedIn(userId) {
  if (shownUserId !== "" && shownUserId !== userId) {
    views.hide();
    showView(null);
  }
  shownUserId = userId;
  setText(find("#user"), userId);
  find("#account").hidden = false;
  notifications.open(userId);
  await views.show(new URL(location.href).searchParams.get(VIEW_PARAMETER) ?? "");
}

function showSignedOut() {
  shownUserId = "";
  find("#account").hidden = true;
  notifications.close();
  views.hide();
  showView(null);
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
if (!new URL(location.href).searchParams.has(VIEW_PARAMETER)) openFeed(null);
