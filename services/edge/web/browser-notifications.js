/** Notifications of the browser, shown outside the page once the user has allowed them. */

import { setMessage } from "./dom.js";

const PERMISSION_MESSAGES = {
  default: "",
  granted: "",
  denied: "Notifications of this page are switched off in the browser. Its settings can allow them.",
};

/**
 * @param {{button: HTMLButtonElement, note: HTMLElement}} prompt  the elements that ask the user for
 *   permission
 * @param {() => void} onClick  called when a notification is clicked, after the page gets the focus
 */
export function createBrowserNotifications({ button, note }, onClick) {
  const isSupported = "Notification" in globalThis && globalThis.isSecureContext;

  function updatePrompt() {
    button.hidden = !isSupported || Notification.permission !== "default";
    setMessage(note, isSupported ? PERMISSION_MESSAGES[Notification.permission] : "");
  }

  button.addEventListener("click", async () => {
    await Notification.requestPermission();
    updatePrompt();
  });
  updatePrompt();

  return {
    /**
     * @param {string} id  the browser shows one notification per id, for all tabs
     * @param {string} title
     * @param {string} message
     */
    show(id, title, message) {
      if (!isSupported || Notification.permission !== "granted") return;
      try {
        const notification = new Notification(title, { body: message, tag: id, icon: "/static/icon.svg" });
        notification.onclick = () => {
          globalThis.focus();
          notification.close();
          onClick();
        };
      } catch {
        // Android supports notifications of service workers only; the page still shows a toast.
      }
    },
  };
}
