import { useTapewire } from "@tapewire/react";
import { useEffect, useState } from "react";

import { useStoredState } from "../../app/stored-state.js";

type Permission = "default" | "granted" | "denied" | "missing";

function currentPermission(): Permission {
  return typeof Notification === "undefined" ? "missing" : Notification.permission;
}

/** Whether notifications are shown by the system while the page is in the background. */
export function BrowserNotificationsSwitch() {
  const client = useTapewire();
  const [isOn, setOn] = useStoredState("notifications.system", false, { storage: "local" });
  const [permission, setPermission] = useState(currentPermission);

  useEffect(() => {
    if (!isOn || permission !== "granted") return;
    return client.notifications.onArrival(({ id, title, message }) => {
      // The page itself shows it while somebody looks at it. A tag keeps one of each.
      if (document.hidden) new Notification(title, { body: message, tag: id });
    });
  }, [client, isOn, permission]);

  if (permission === "missing") return null;
  if (permission === "denied")
    return <span className="soft">System notifications are blocked in this browser.</span>;
  return (
    <label className="check">
      <input
        type="checkbox"
        checked={isOn && permission === "granted"}
        onChange={(event) => {
          const wanted = event.target.checked;
          if (!wanted || permission === "granted") return setOn(wanted);
          void Notification.requestPermission().then((answer) => {
            setPermission(answer);
            setOn(answer === "granted");
          });
        }}
      />
      System notifications in the background
    </label>
  );
}
