/** Who is signed in, and signing in and out. */

import { ApiError, call } from "/client/tapewire.js";

import { find, say } from "./dom.js";
import { clearErrors, reasonOf, showError } from "./forms.js";
import { notice } from "./notices.js";

/** @typedef {{userId: string, roles: string[], expiresAt: string}} Session */

const URL = "/api/session";

/**
 * The session that the browser has a cookie for.
 *
 * @returns {Promise<Session | null>} null when signed out
 */
export async function currentSession() {
  try {
    return await call("GET", URL);
  } catch (error) {
    if (error instanceof ApiError && error.statusCode === 401) return null;
    throw error;
  }
}

/** End the session here and on every other tab. */
async function signOut() {
  try {
    await call("DELETE", URL);
  } catch (error) {
    // It had ended already, which is what was wanted.
    if (!(error instanceof ApiError && error.statusCode === 401)) throw error;
  }
}

/**
 * The button of the bar, which every page has.
 *
 * @param {() => void} onSignedOut
 */
export function signOutButton(onSignedOut) {
  find("#sign-out").addEventListener("click", async () => {
    try {
      await signOut();
      onSignedOut();
      find("#userId").focus();
    } catch (error) {
      notice(`Not signed out. ${reasonOf(error)}`, "bad");
    }
  });
}

/**
 * @param {HTMLElement} panel
 * @param {(session: Session) => void} onSignedIn
 */
export function signInForm(panel, onSignedIn) {
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
      onSignedIn(await call("POST", URL, { userId, roles: [] }));
    } catch (error) {
      showFailure(form, error);
    } finally {
      button.disabled = false;
    }
  });

  return {
    /** @param {string} why  above the fields; "" for no reason to tell */
    show(why) {
      panel.hidden = false;
      clearErrors(form);
      say(find(".form-error", form), why);
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
function showFailure(form, error) {
  if (error instanceof ApiError && [403, 404].includes(error.statusCode)) {
    const off = "The development sign-in is switched off on this server.";
    showError(form, undefined, `${off} Sign in through your own system, then open this page again.`);
  } else if (error instanceof ApiError) {
    showError(form, error.field, error.message);
  } else {
    showError(form, undefined, reasonOf(error));
  }
}
