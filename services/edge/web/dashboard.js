/**
 * The page at `/dashboard`: items and their metrics, live. This module only connects the parts.
 *
 * Items need no session and come from the start, by the stream or by polling (`feed.js`). Signing
 * in adds the user's views and notifications. Start reading at the end.
 */

import { find, write } from "./dom.js";
import { notificationBell } from "./bell.js";
import { itemsFeed } from "./feed.js";
import { feedLine } from "./feedline.js";
import { itemsList } from "./items.js";
import { metricsPanel } from "./metrics.js";
import { notice } from "./notices.js";
import { currentSession, signInForm, signOutButton } from "./session.js";
import { viewsPanel } from "./views.js";

/** @typedef {import("./session.js").Session} Session */

/** How long a hidden tab keeps its stream: browsers allow six connections to a server in all. */
const HIDDEN_MS = 20_000;
const SESSION_RETRY_MS = 3_000;
/** A session that is good for calls but twice not for the streams within this time counts as lost. */
const LOSS_PAUSE_MS = 5_000;
/** The address holds the chosen view, so that it can be kept and comes back on reload. */
const VIEW = "view";

const bell = notificationBell({ onSignedOut: () => void lose() });
const feed = itemsFeed({
  items: itemsList(find("#items")),
  showMetrics: metricsPanel(),
  showState: feedLine(),
  onEnd(state) {
    if (state.name === "signed-out") void lose();
    else if (shown) void leaveView();
  },
});
const views = viewsPanel(find("#views"), {
  onPick: show,
  onGone: () => void leaveView(),
});
const signIn = signInForm(find("#sign-in"), (session) => void enter(session));

/** The id of the view whose items are on the page; null is all, undefined none yet. */
/** @type {string | null | undefined} */
let shown;
let lastLoss = -Infinity;

/** @param {import("./views.js").View | null} view */
function show(view) {
  const address = new URL(location.href);
  if (view) address.searchParams.set(VIEW, view.id);
  else address.searchParams.delete(VIEW);
  history.replaceState(null, "", address);
  write(find("#items-note"), view ? `of “${view.name}”` : "");
  // A view is opened again when it is chosen again: it may have changed.
  if (view === null && shown === null) return;
  open(view?.id ?? null);
}

/** @param {string | null} id */
function open(id) {
  shown = id;
  void feed.open(id);
}

/** The view that is shown is no more; another tab may have deleted it. */
async function leaveView() {
  notice("This view is no more; all items are shown.");
  await views.show("");
}

/** @param {Session} session */
async function enter(session) {
  write(find("#user"), session.userId);
  find("#account").hidden = false;
  signIn.hide();
  bell.enter(session.userId);
  await views.show(new URL(location.href).searchParams.get(VIEW) ?? "");
}

/** @param {string} why */
function leave(why) {
  find("#account").hidden = true;
  bell.leave();
  views.hide();
  signIn.show(why);
  show(null);
}

/** A session is over; the browser may have a newer one, from another tab. */
async function lose() {
  const again = performance.now() - lastLoss < LOSS_PAUSE_MS;
  lastLoss = performance.now();
  const session = again ? null : await currentSession().catch(() => null);
  if (session) await enter(session);
  else leave("Your session has ended. Sign in again.");
}

async function begin() {
  for (;;) {
    try {
      const session = await currentSession();
      if (session) await enter(session);
      else leave("");
      return;
    } catch {
      // The items say by themselves when the server cannot be reached.
      if (shown === undefined) open(null);
      await new Promise((resolve) => setTimeout(resolve, SESSION_RETRY_MS));
    }
  }
}

/** @type {ReturnType<typeof setTimeout> | undefined} */
let hiding;
document.addEventListener("visibilitychange", () => {
  clearTimeout(hiding);
  if (document.visibilityState === "hidden") hiding = setTimeout(feed.pause, HIDDEN_MS);
  else comeBack();
});

/** What other programs did to the views meanwhile, this page was not told. */
function comeBack() {
  feed.resume();
  void views.refresh();
}

find("#try-now").addEventListener("click", feed.retryNow);
signOutButton(() => leave(""));

if (!new URL(location.href).searchParams.has(VIEW)) open(null);
void begin();
