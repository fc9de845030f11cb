import { useState } from "react";

import { useStoredState } from "../../app/stored-state.js";
import { permissionToNotify, SYSTEM_NOTIFICATIONS_KEY } from "./system-notifications.js";

/** Whether notifications are shown by the system while the page is in the background. */
export function BrowserNotificationsSwitch() {
  const [isOn, setOn] = useStoredState(SYSTEM_NOTIFICATIONS_KEY, false, { storage: "local" });
  const [permission, setPermission] = useState(permissionToNotify);

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
