import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/forms.css";
import "./styles/panel.css";
import "./styles/cells.css";
import "./styles/plain-table.css";
import "./styles/shell.css";
import "./styles/desk.css";
import "./styles/dialogs.css";

import { createRoot } from "react-dom/client";

import { App } from "./app/app.js";
import { applyStoredPreferences } from "./app/preferences.js";

applyStoredPreferences();
const root = document.getElementById("root");
if (root) createRoot(root).render(<App />);
