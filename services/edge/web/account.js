/**
 * The account of the page: the user whom all its parts show, and in whose name it acts.
 *
 * All tabs of a browser share the session cookie. A tab that signs in or out notifies the others, and
 * each then asks the server whose session it is. Calls and streams of the page name the user whom it
 * shows. When somebody else is signed in, the server refuses them, and the page follows.
 */

import { ApiError, call } from "/client/tapewire.js";

import { errorMessage } from "./form-errors.js";
import { bindSignInForm, bindSignOutButton, fetchSession } from "./session.js";
import { showToast } from "./toasts.js";

/** @typedef {import("./session.js").Session} Session */
/** @typedef {ReturnType<typeof createAccount>} Account */

const RETRY_MS = 3_000;
/** A stream lost within this time after it was reopened ends the session, even if it seems valid. */
const LOSS_WINDOW_MS = 5_000;
const SESSION_ENDED = "Your session has ended. Sign in again.";

/**
 * @param {HTMLElement} signInPanel  the panel with the sign-in form
 * @param {object} callbacks
 * @param {(userId: string, isByForm: boolean) => void} callbacks.onSignedIn  shows the user; called
 *   again for the same one when the streams must be reopened
 * @param {() => void} callbacks.onSignedOut
 * @param {(reason: string) => void} callbacks.onUnreachable  the page does not know yet who is
 *   signed in, because the server does not answer
 */
export function createAccount(signInPanel, { onSignedIn, onSignedOut, onUnreachable }) {
  const signIn = bindSignInForm(signInPanel, change);
  bindSignOutButton(change, () => shownUserId ?? "");
  const otherTabs = new BroadcastChannel("tapewire session");
  /** "" for nobody; null while it is not known. @type {string | null} */
  let shownUserId = null;
  /** The id of the newest `refresh`: older ones discard their results. */
  let refreshId = 0;
  let isStreamLost = false;
  let reopenedAt = -Infinity;

  /**
   * @param {string} userId
   * @param {boolean} isByForm  whether the user signed in with this page's form
   */
  function showSignedIn(userId, isByForm) {
    const isOther = userId !== shownUserId;
    if (!isOther && !isStreamLost) return;
    if (isOther && shownUserId) showToast(`${userId} is signed in in this browser now.`);
    if (!isOther) reopenedAt = performance.now();
    isStreamLost = false;
    shownUserId = userId;
    signIn.hide();
    onSignedIn(userId, isByForm);
  }

  /** @param {string} reason  shown above the sign-in form; "" for none */
  function showSignedOut(reason) {
    isStreamLost = false;
    if (shownUserId === "") return;
    shownUserId = "";
    onSignedOut();
    signIn.show(reason);
  }

  /** Show the user of the browser's session. Asks until the server answers. */
  async function refresh() {
    const ownId = ++refreshId;
    while (ownId === refreshId) {
      try {
        const session = await fetchSession();
        if (ownId !== refreshId) return;
        if (session) showSignedIn(session.userId, false);
        else showSignedOut(shownUserId ? SESSION_ENDED : "");
        return;
      } catch (error) {
        if (ownId === refreshId && shownUserId === null) onUnreachable(errorMessage(error));
      }
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }

  /**
   * Handle an error of a call: if the session is not that of the shown user, show whose it is.
   *
   * @param {unknown} error
   * @returns {never}
   */
  function followAndThrow(error) {
    if (error instanceof ApiError && (error.isAccountChanged || error.statusCode === 401)) void refresh();
    throw error;
  }

  /**
   * Make a request that changes the session, show its result and notify the other tabs.
   *
   * @param {() => Promise<Session | null>} request  the session that it leaves
   */
  async function change(request) {
    const idBefore = refreshId;
    const session = await request().catch(followAndThrow);
    otherTabs.postMessage("changed");
    // Another tab has changed the session too; the responses do not tell which change was the last.
    if (refreshId !== idBefore) return refresh();
    if (session) showSignedIn(session.userId, true);
    else showSignedOut("");
  }

  /**
   * @param {string} userId
   * @param {Parameters<typeof call>} request
   * @returns {Promise<any>}
   */
  function callAs(userId, ...[method, url, body, options]) {
    return call(method, url, body, { ...options, user: userId }).catch(followAndThrow);
  }

  otherTabs.onmessage = () => void refresh();
  document.addEventListener("visibilitychange", () => {
    // Another program may have signed in or out.
    if (document.visibilityState === "visible") void refresh();
  });
  void refresh();

  return {
    /** The user whom the page shows; "" for nobody. */
    get userId() {
      return shownUserId ?? "";
    },

    /**
     * Make a call for a user whom the page has shown when the user decided on it.
     *
     * @throws {ApiError}  with `isAccountChanged` if another user is signed in now
     * @throws {import("/client/tapewire.js").Unreachable}
     */
    callAs,

    /**
     * Make a call for the user whom the page shows, as `callAs`.
     *
     * @param {Parameters<typeof call>} request
     * @returns {Promise<any>}
     */
    call: (...request) => callAs(shownUserId ?? "", ...request),

    /**
     * Handle a stream that ended because its user is not signed in any more, or with another
     * session.
     *
     * @param {string} userId  the user whom the stream was for
     */
    handleLostStream(userId) {
      if (userId !== shownUserId || isStreamLost) return;
      isStreamLost = true;
      if (performance.now() - reopenedAt < LOSS_WINDOW_MS) showSignedOut(SESSION_ENDED);
      else void refresh();
    },
  };
}
