// @vitest-environment jsdom
/** Hooks: what renders when something changes, and what is asked of the server. */

import { act, render, renderHook, screen } from "@testing-library/react";
import { StrictMode } from "react";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import {
  CONNECTED,
  event,
  idOf,
  notification,
  order,
  quote,
  TIME,
  tick,
} from "../../client/tests/events.js";
import { snapshot } from "../../client/tests/store-fixture.js";
import { TapewireProvider, useSymbols } from "../src/index.js";
import { TestClient } from "./fixture.js";
import {
  Age,
  Bell,
  Keyed,
  OrderList,
  OrderTable,
  Price,
  PriceTable,
  renders,
  Status,
  Toasts,
} from "./pages.js";

const RELEASE_MS = 5_000;
let tested: TestClient;

beforeEach(() => {
  vi.useFakeTimers();
  tested = new TestClient();
});

afterEach(() => {
  vi.useRealTimers();
});

const prices = (...quotes: unknown[]) =>
  event("price:update", { initializing: true, prices: quotes, timestamp: TIME });

describe("rendering", () => {
  beforeEach(() => renders.clear());

  test("a tick of one symbol renders its row, and nothing else", () => {
    const symbols = Array.from({ length: 50 }, (_, n) => `S${n + 10}`);
    tested.render(<PriceTable />);
    tested.send(CONNECTED, prices(...symbols.map((symbol) => quote(symbol, 1))));
    renders.clear();
    tested.send(tick("S20", 2));
    expect(screen.getByText("S20 2 live")).toBeTruthy();
    expect([...renders]).toEqual([["S20", 2]]); // StrictMode renders twice
  });

  test("a frame with many ticks of a symbol renders its row once", () => {
    tested.render(<PriceTable />);
    tested.send(CONNECTED, prices(quote("A", 1), quote("B", 1)));
    renders.clear();
    tested.send(tick("A", 2), tick("A", 3), tick("A", 4), tick("B", 5));
    expect([...renders]).toEqual([
      ["A", 2],
      ["B", 2],
    ]);
  });

  test("a new symbol renders the table and its row; the others stay", () => {
    tested.render(<PriceTable />);
    tested.send(CONNECTED, prices(quote("A", 1)));
    renders.clear();
    tested.send(tick("B", 1));
    expect(renders.get("table")).toBe(2);
    expect(screen.getAllByText(/live/)).toHaveLength(2);
  });

  test("a connection that is not current makes every shown price old, at once", () => {
    tested.render(<PriceTable />);
    tested.send(CONNECTED, prices(quote("A", 1), quote("B", 1)));
    act(() => tested.source.isCurrent.set(false));
    expect(screen.getAllByText(/old/)).toHaveLength(2);
  });

  test("one order that changes renders its row and not the list", () => {
    tested.render(<OrderTable />);
    tested.send(CONNECTED, snapshot(1, order("a"), order("b")));
    renders.clear();
    tested.send(event("order:update", order("a", { filledQty: 5 }), 2));
    expect([...renders]).toEqual([["a", 2]]);
  });
});

describe("subscriptions", () => {
  test("two components share one, and the last one to unmount releases it", () => {
    const subscribe = vi.spyOn(tested.source, "subscribe");
    const page = tested.render(
      <>
        <Price />
        <Price />
      </>,
    );
    expect(subscribe.mock.calls.map(([topic]) => topic)).toEqual(["prices:A"]);
    page.rerender(<Price />);
    vi.advanceTimersByTime(RELEASE_MS * 2);
    expect(tested.source.topics).toEqual(["prices:A"]);
    page.unmount();
    vi.advanceTimersByTime(RELEASE_MS);
    expect(tested.source.topics).toEqual([]);
  });

  test("another symbol releases the former one", () => {
    const page = tested.render(<Price symbol="A" />);
    tested.send(CONNECTED, prices(quote("A", 1), quote("B", 2)));
    page.rerender(<Price symbol="B" />);
    expect(screen.getByText("2")).toBeTruthy();
    vi.advanceTimersByTime(RELEASE_MS);
    expect(tested.source.topics).toEqual(["prices:B"]);
    page.unmount();
  });

  test.each(["", null, undefined])("no key (%j) asks for nothing", (key) => {
    tested.render(<Keyed name={key} />);
    expect(screen.getByText("[null,null,null,[]]")).toBeTruthy();
    expect(tested.source.topics).toEqual([]);
  });

  test("a hook outside of the provider says what is missing", () => {
    vi.spyOn(console, "error").mockImplementation(() => {});
    expect(() => renderHook(() => useSymbols())).toThrow("outside of <TapewireProvider>");
    vi.restoreAllMocks();
  });

  test("another client replaces the former one", () => {
    const other = new TestClient();
    const page = (client: TestClient) => (
      <StrictMode>
        <TapewireProvider client={client.client}>
          <Price />
        </TapewireProvider>
      </StrictMode>
    );
    const { rerender } = render(page(tested));
    tested.send(CONNECTED, prices(quote("A", 1)));
    rerender(page(other));
    expect(screen.getByText("none")).toBeTruthy();
    expect(other.source.topics).toEqual(["prices:A"]);
    other.send(CONNECTED, prices(quote("A", 7)));
    expect(screen.getByText("7")).toBeTruthy();
  });
});

describe("values", () => {
  test("account, session and connection", () => {
    tested.render(<Status />);
    expect(screen.getByText("signed-in live unknown")).toBeTruthy();
    tested.send(event("account:update", { cash: 5 }));
    act(() => tested.status.set({ name: "stale", since: 1 }));
    expect(screen.getByText("signed-in stale 5")).toBeTruthy();
  });

  test("the age of a quote goes on by itself", () => {
    tested.render(<Age />);
    const received = { ...prices(quote("A", 1, { age: 2 })), receivedAt: Date.now() };
    tested.send(CONNECTED, received);
    expect(screen.getByText("2 s")).toBeTruthy();
    act(() => void vi.advanceTimersByTime(3_000));
    expect(screen.getByText("5 s")).toBeTruthy();
  });
});

describe("inbox and toasts", () => {
  const arrive = (id: string, sequence: number): void =>
    tested.send(event("notification", notification(id, { title: id }), sequence));

  test("the count follows, and marking as read is shown at once", async () => {
    tested.render(<Bell />);
    tested.send(CONNECTED, event("notification:unread", { unread: 1 }), event("checkpoint", {}, 1));
    arrive("a", 2);
    expect(screen.getByRole("button").textContent).toBe("2");
    act(() => screen.getByRole("button").click());
    expect(screen.getByRole("button").textContent).toBe("1");
    expect(tested.calls.paths.at(-1)).toBe("POST /api/notifications/read");
  });

  test("toasts: at most so many, each for its time, in the tab that announces", () => {
    const page = tested.render(<Toasts />);
    expect(tested.source.offers).toBe(1);
    const shown = (): string | null => screen.getByRole("status").textContent;
    tested.send(CONNECTED, event("checkpoint", {}, 1));
    arrive("elsewhere", 2);
    expect(shown()).toBe("+0");
    tested.source.announces = true;
    for (const [n, id] of ["a", "b", "c", "d"].entries()) arrive(id, n + 3);
    expect(shown()).toBe("ab+2");
    act(() => screen.getByText("a").click());
    expect(shown()).toBe("b+2");
    act(() => void vi.advanceTimersByTime(1_000));
    expect(shown()).toBe("+0");
    arrive("e", 9);
    const renewed = { name: "signed-in" as const, userId: "alice", roles: [], expiresAt: TIME };
    act(() => tested.session.set(renewed));
    act(() => tested.session.set({ name: "unreachable", reason: "away", retryAt: 0 }));
    act(() => tested.session.set(renewed));
    expect(shown()).toBe("e+0");
    act(() => tested.session.set({ name: "signed-out", reason: "by-user" }));
    expect(shown()).toBe("+0");
    page.unmount();
    expect(tested.source.offers).toBe(0);
  });
});

test("the list says how far it is loaded, and loads more", async () => {
  tested.render(<OrderList />);
  const button = screen.getByRole("button");
  expect(button.textContent).toBe("loading all");
  tested.send(CONNECTED, snapshot(1, order("a")));
  tested.calls.at(0).answer({ orders: [order("a")], asOf: idOf(1), next: "c" });
  await act(() => vi.advanceTimersByTimeAsync(0));
  expect(button.textContent).toBe("a ready more");
  act(() => button.click());
  tested.calls.at(1).fail(new Error("away"));
  await act(() => vi.advanceTimersByTimeAsync(0));
  expect(button.textContent).toBe("a failed more");
});
