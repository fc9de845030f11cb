/** The browser's session: loading it, signing in and signing out. `account.js` uses this module. */

import { ApiError, call } from "/client/tapewire.js";

import { find, setMessage } from "./dom.js";
import { clearErrors, errorMessage, showError } from "./form-errors.js";
import { showToast } from "./toasts.js";

/** @typedef {{userId: string, roles: string[], expiresAt: string}} Session */

const SESSION_URL = "/api/session";

/**
 * Get the session of the browser's cookie.
 *
 * @returns {Promise<Session | null>}  null when signed out
 */
export async function fetchSession() {
  try {
    return await call("GET", SESSION_URL);
  } catch (error) {
    if (error instanceof ApiError && error.statusCode === 401) return null;
    throw error;
  }
}

/**
 * End the session of a user, in this tab and in all others.
 *
 * @param {string} userId
 * @returns {Promise<null>}
 */
async function signOut(userId) {
  try {
    await call("DELETE", SESSION_URL, undefined, { user: userId });
  } catch (error) {
    // 401: the session has already ended.
    if (!(error instanceof ApiError && error.statusCode === 401)) throw error;
  }
  return null;
}

/** @typedef {(request: () => Promise<Session | null>) => Promise<void>} ChangeSession */

/**
 * Make the page's sign-out button work.
 *
 * @param {ChangeSession} change  makes the request and shows its result
 * @param {() => string} shownUserId
 */
export function bindSignOutButton(change, shownUserId) {
  find("#sign-out").addEventListener("click", async () => {
    try {
      const userId = shownUserId();
      await change(() => signOut(userId));
      find("#userId").focus();
    } catch (error) {
      showToast(`Not signed out. ${errorMessage(error)}`, "bad");
    }
  });
}

/**
 * Make the sign-in form in `panel` work.
 *
 * @param {HTMLElement} panel
 * @param {ChangeSession} change  makes the request and shows its result
 */
export function bindSignInForm(panel, change) {
  const form = find("form", panel);
  const button = find("button", form);
  form.addEventListener("submit", async (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    clearErrors(form);
    const userId = form.elements.userId.value.trim();
    if (userId === "") {
      showError(form, "userId", "Enter a user name.");
      return;
    }
    button.disabled = true;
    try {
      await change(() => call("POST", SESSION_URL, { userId, roles: [] }));
    } catch (error) {
      showSignInError(form, error);
    } finally {
      button.disabled = false;
    }
  });

  return {
    /** @param {string} reason  shown above the fields; "" for none */
    show(reason) {
      panel.hidden = false;
      clearErrors(form);
      setMessage(find(".form-error", form), reason);
    },
    hide() {
      panel.hidden = true;
    },
  };
}

/**
 * @param {HTMLFormElement} form
 * @param {unknown} error
 */
function showSignInError(form, error) {
  if (error instanceof ApiError && [403, 404].includes(error.statusCode)) {
    const cause = "The development sign-in is switched off on this server.";
    showError(form, undefined, `${cause} Sign in through your own system, then open this page again.`);
  } else if (error instanceof ApiError) {
    showError(form, error.field, error.message);
  } else {
    showError(form, undefined, errorMessage(error));
  }
}
