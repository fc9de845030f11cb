/** On a server: what is rendered has no data and asks for none, and a browser takes it over. */

import { renderToString } from "react-dom/server";
import { expect, test } from "vitest";
import {
  TapewireProvider,
  useAccount,
  useConnection,
  useInbox,
  useOrders,
  useQuote,
  useSession,
  useSymbols,
} from "../src/index.js";
import { TestClient } from "./fixture.js";

function Page() {
  const parts = [useSession().name, useConnection().name, useOrders().status.name];
  const numbers = [useSymbols().length, useInbox().unread, useAccount()?.cash ?? 0];
  return <p>{[...parts, ...numbers, useQuote("A").isLive].join(" ")}</p>;
}

test("a server renders the beginning, whatever the client knows, and subscribes to nothing", () => {
  const tested = new TestClient();
  const page = (
    <TapewireProvider client={tested.client}>
      <Page />
    </TapewireProvider>
  );
  expect(renderToString(page)).toBe("<p>loading connecting loading 0 0 0 false</p>");
  expect(tested.source.topics).toEqual([]);
});
