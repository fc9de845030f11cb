import type { ReactNode } from "react";
import { I18nProvider } from "react-aria-components/I18nProvider";

import "./react-aria.css";

/** The style element that React Aria inserts once, unless an element has its id. */
const STYLE_ID = "react-aria-pressable-style";

// The pages' policy refuses inline styles: an empty element takes the place, react-aria.css has the rule.
if (document.getElementById(STYLE_ID) === null) {
  const meta = document.createElement("meta");
  meta.id = STYLE_ID;
  document.head.append(meta);
}

/** Around each component of React Aria: its texts for screen readers are in the page's language. */
export function ReactAria({ children }: { readonly children: ReactNode }) {
  return <I18nProvider locale="en-US">{children}</I18nProvider>;
}
