// @vitest-environment jsdom
/** A browser takes a server's page over without an error, although it knows more by then. */

import { act } from "@testing-library/react";
import { hydrateRoot } from "react-dom/client";
import { expect, test, vi } from "vitest";
import { CONNECTED, event } from "../../client/tests/events.js";
import { TapewireProvider } from "../src/index.js";
import { TestClient } from "./fixture.js";
import { Status } from "./pages.js";

test("the first render is the server's, the next one has the data", async () => {
  const tested = new TestClient();
  tested.client.account.subscribe(() => {});
  tested.source.send(CONNECTED, event("account:update", { cash: 5 }));
  const root = document.createElement("div");
  root.innerHTML = "<p>loading<!-- --> <!-- -->connecting<!-- --> <!-- -->unknown</p>";
  const onRecoverableError = vi.fn();
  const page = (
    <TapewireProvider client={tested.client}>
      <Status />
    </TapewireProvider>
  );
  await act(async () => void hydrateRoot(root, page, { onRecoverableError }));
  expect(onRecoverableError).not.toHaveBeenCalled();
  expect(root.textContent).toBe("signed-in live 5");
});
