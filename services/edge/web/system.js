/** The browser's own notifications: asked for only when the user says so, shown when allowed. */

import { say } from "./dom.js";

const WORDS = {
  default: "",
  granted: "",
  denied: "This browser has notifications from here switched off; its settings have them.",
};

/**
 * @param {{button: HTMLButtonElement, note: HTMLElement}} parts
 * @param {() => void} onClick  of a notification, when the page is in front again
 */
export function systemNotices({ button, note }, onClick) {
  const able = "Notification" in globalThis && globalThis.isSecureContext;

  function offer() {
    button.hidden = !able || Notification.permission !== "default";
    say(note, able ? WORDS[Notification.permission] : "");
  }

  button.addEventListener("click", async () => {
    await Notification.requestPermission();
    offer();
  });
  offer();

  return {
    /**
     * @param {string} id  several tabs show the same one once
     * @param {string} title
     * @param {string} message
     */
    show(id, title, message) {
      if (!able || Notification.permission !== "granted") return;
      try {
        const shown = new Notification(title, { body: message, tag: id, icon: "/static/icon.svg" });
        shown.onclick = () => {
          globalThis.focus();
          shown.close();
          onClick();
        };
      } catch {
        // Android has them for service workers only; the message on the page is there all the same.
      }
    },
  };
}
