import { TapewireProvider } from "@tapewire/react";

import { createFormats } from "../format/index.js";
import { createClient } from "./create-client.js";
import { ErrorBoundary } from "./error-boundary.js";
import { Shell } from "./shell.js";

const client = createClient();
const formats = createFormats(navigator.language);

export function App() {
  return (
    <ErrorBoundary name="The page">
      <TapewireProvider client={client}>
        <Shell formats={formats} />
      </TapewireProvider>
    </ErrorBoundary>
  );
}
