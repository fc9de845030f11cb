import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/panel.css";

import { createRoot } from "react-dom/client";

createRoot(document.getElementById("root")!).render(<h1>Tapewire</h1>);
