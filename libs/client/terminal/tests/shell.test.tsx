// @vitest-environment jsdom
import { TapewireProvider } from "@tapewire/react";
import { act, cleanup, configure, fireEvent, render, screen, within } from "@testing-library/react";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { Shell } from "../src/app/shell.js";
import { useTerminal } from "../src/app/terminal-context.js";
import { createFormats } from "../src/format/index.js";
import { useKeyCommand } from "../src/keys/commands.js";
import { createFakeClient, type FakeClient } from "./fake-client.js";

// Whether an element is hidden takes jsdom long to find out.
configure({ defaultHidden: true });

const watchlist = vi.hoisted(() => ({ isBroken: false }));

/** Panels of the test: prices, which may break, and a ticket that remembers what it was asked for. */
vi.mock("../src/panels/registry.js", () => {
  const place = { x: 0, y: 0, width: 8, height: 8 };
  const panels = [
    {
      id: "watchlist",
      title: "Watchlist",
      description: "Prices.",
      access: "public",
      places: { trade: place },
      key: "w",
      tab: "Market",
      component: Watchlist,
    },
    {
      id: "ticket",
      title: "Order ticket",
      description: "Place an order.",
      access: "session",
      places: { trade: { ...place, x: 8 } },
      key: "t",
      tab: "Trade",
      component: Ticket,
    },
    {
      id: "services",
      title: "Services",
      description: "All services.",
      access: "admin",
      places: { operations: place },
      tab: "Operations",
      component: Watchlist,
    },
  ];
  return { PANELS: panels, findPanel: (id: string) => panels.find((panel) => panel.id === id) };
});

function Watchlist() {
  if (watchlist.isBroken) throw new Error("No such symbol.");
  useKeyCommand("cancel-order", () => {
    useTerminalNow.announce("Canceled.");
    return undefined;
  });
  useTerminalNow = useTerminal();
  return <p>All prices</p>;
}

let useTerminalNow: ReturnType<typeof useTerminal>;

function Ticket() {
  const { ticketRequest } = useTerminal();
  return (
    <p>
      <input aria-label="Quantity" data-autofocus />
      {JSON.stringify(ticketRequest)}
    </p>
  );
}

let fake: FakeClient;

/** The page, after it has said its first state. */
async function open(): Promise<void> {
  render(
    <TapewireProvider client={fake.client}>
      <Shell formats={createFormats("en-US")} />
    </TapewireProvider>,
  );
  await wait(2_000);
}

/** Let timers and lazy parts run. */
async function wait(milliseconds = 0): Promise<void> {
  await act(async () => {
    await vi.advanceTimersByTimeAsync(milliseconds);
    await vi.dynamicImportSettled();
  });
}

async function set(change: () => void): Promise<void> {
  act(change);
  await wait(700);
}

const said = () => document.getElementById("live-region")?.textContent ?? "";
const press = (key: string, target: Element = document.body) => fireEvent.keyDown(target, { key });

beforeEach(() => {
  vi.useFakeTimers({
    toFake: [
      "setTimeout",
      "clearTimeout",
      "setInterval",
      "clearInterval",
      "Date",
      "requestAnimationFrame",
    ],
  });
  // jsdom has no layout and no modal dialogs.
  vi.stubGlobal(
    "ResizeObserver",
    class {
      observe() {}
      disconnect() {}
    },
  );
  HTMLDialogElement.prototype.showModal = function show() {
    this.open = true;
  };
  HTMLDialogElement.prototype.close = function close() {
    this.open = false;
  };
  HTMLElement.prototype.hidePopover = () => undefined;
  HTMLElement.prototype.scrollIntoView = () => undefined;
  watchlist.isBroken = false;
  fake = createFakeClient();
});

afterEach(() => {
  cleanup();
  localStorage.clear();
  sessionStorage.clear();
  history.replaceState(null, "", "/");
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe("the state of the connection", () => {
  it("is said once, however often the tries are repeated", async () => {
    await open();
    await set(() => fake.status.set({ name: "stale", since: 1 }));
    expect(said()).toContain("Prices are not current.");
    await set(() =>
      fake.status.set({
        name: "reconnecting",
        retryAt: Date.now() + 4_000,
        reason: "network",
        tries: 1,
      }),
    );
    expect(said()).toContain("The connection is lost.");
    act(() => useTerminalNow.announce("Something else."));
    await wait(5_000);
    for (const tries of [2, 3, 4]) {
      await set(() => fake.status.set({ name: "connecting", tries }));
      await set(() =>
        fake.status.set({ name: "reconnecting", retryAt: 1, reason: "network", tries }),
      );
    }
    expect(said()).toBe("Something else.");
    await set(() => fake.status.set({ name: "live", isPolling: false }));
    expect(said()).toBe("Live.");
  });

  it("marks the whole page, counts down, and tries now on a press", async () => {
    await open();
    expect(document.documentElement.dataset.live).toBe("yes");
    await set(() =>
      fake.status.set({
        name: "reconnecting",
        retryAt: Date.now() + 4_000,
        reason: "network",
        tries: 1,
      }),
    );
    expect(document.documentElement.dataset.live).toBe("no");
    expect(screen.getByText(/Next try in \d s/)).toBeTruthy();
    fireEvent.click(screen.getByRole("button", { name: "Try now" }));
    expect(fake.retries.get()).toBe(1);
    await wait(5_000);
    expect(screen.getByText(/Trying now/)).toBeTruthy();
  });

  it("says a state that passes at once to nobody", async () => {
    await open();
    await set(() => fake.status.set({ name: "stale", since: 1 }));
    act(() => fake.status.set({ name: "connecting", tries: 2 }));
    await wait(100);
    await set(() => fake.status.set({ name: "live", isPolling: false }));
    expect(said()).toBe("Live.");
  });

  it("shows what was lost until it is closed", async () => {
    await open();
    await set(() => fake.lastReset.set({ reason: "trimmed", at: Date.now() }));
    const strip = screen.getByText(/The view was loaded anew at/).closest(".strip") as HTMLElement;
    expect(strip.textContent).toContain("no longer kept");
    fireEvent.click(within(strip).getByRole("button", { name: "Close" }));
    expect(screen.queryByText(/The view was loaded anew at/)).toBeNull();
    await set(() => fake.lastReset.set({ reason: "limit", at: Date.now() }));
    expect(screen.getByText(/too many events/)).toBeTruthy();
  });
});

describe("the account", () => {
  it("that changes is said and stays on the page, and what the other one had asked for is gone", async () => {
    await open();
    await set(() =>
      fake.session.set({ name: "signed-in", userId: "bob", roles: [], expiresAt: null }),
    );
    expect(said()).toBe("The account has changed: this page now shows bob, not ada.");
    expect(screen.getByText(/The account has changed/, { selector: "strong" })).toBeTruthy();
  });

  it("is the same after nobody knew it for a while", async () => {
    await open();
    await set(() => fake.session.set({ name: "unreachable", reason: "no answer", retryAt: 1 }));
    expect(screen.getByText(/It is not known who is signed in/)).toBeTruthy();
    await set(() =>
      fake.session.set({ name: "signed-in", userId: "ada", roles: [], expiresAt: null }),
    );
    expect(said()).toBe("Live.");
  });

  it("that expires asks to sign in, and panels with private data show nothing", async () => {
    await open();
    await set(() => fake.session.set({ name: "signed-out", reason: "expired" }));
    expect(screen.getByText(/Your session has expired/, { selector: "strong" })).toBeTruthy();
    expect(screen.queryByLabelText("Quantity")).toBeNull();
    expect(screen.getByText("All prices")).toBeTruthy();
    expect(screen.getByText("Sign in to use this panel")).toBeTruthy();
  });

  it.each([
    ["is switched off", { statusCode: 403 }, /switched off on this server/],
    ["refuses the name", { statusCode: 422, field: "userId", message: "Too long." }, /Too long/],
    ["cannot be reached", new Error("The server cannot be reached."), /cannot be reached/],
  ])("says it when the sign-in %s", async (_, failure, text) => {
    fake.session.set({ name: "signed-out", reason: "never" });
    fake.client.signIn = () =>
      Promise.reject(failure instanceof Error ? failure : Object.assign(new Error(), failure));
    await open();
    fireEvent.click(screen.getAllByRole("button", { name: "Sign in" })[0]!);
    await wait();
    fireEvent.submit(document.querySelector("form")!);
    expect(screen.getByText(/Enter a user name/)).toBeTruthy();
    fireEvent.change(screen.getByLabelText("User name"), { target: { value: " ada " } });
    fireEvent.submit(document.querySelector("form")!);
    await wait();
    expect(screen.getByText(text)).toBeTruthy();
  });

  it("of an admin has the page Operations; others are told who may see it", async () => {
    history.replaceState(null, "", "/operations");
    await open();
    expect(screen.getByText("For admins")).toBeTruthy();
    await set(() =>
      fake.session.set({ name: "signed-in", userId: "ada", roles: ["admin"], expiresAt: null }),
    );
    expect(screen.getByText("All prices")).toBeTruthy();
  });
});

describe("keys", () => {
  it("open the ticket for the selected symbol, and nothing while somebody types", async () => {
    fake.prices.set("SPY", { symbol: "SPY", price: 1 } as never);
    await open();
    press("s");
    await wait(100);
    expect(screen.getByText(/"symbol":"SPY","side":"sell","number":1/)).toBeTruthy();
    expect(document.activeElement).toBe(screen.getByLabelText("Quantity"));
    press("b", screen.getByLabelText("Quantity"));
    await wait(100);
    expect(screen.getByText(/"number":1/)).toBeTruthy();
  });

  it("show all keys, and none acts below a dialog", async () => {
    await open();
    press("?");
    await wait(50);
    const help = screen.getByRole("dialog", { name: "Keys" });
    expect(within(help).getByText("Cancel the selected order")).toBeTruthy();
    press("b");
    await wait(50);
    expect(screen.queryByText(/"number":1/)).toBeNull();
  });

  it("ask the panel that can do it, and say so when none can", async () => {
    await open();
    press("x");
    await wait(10);
    expect(said()).toBe("Canceled.");
    fireEvent.click(screen.getByText("Close the panel", { selector: "#panel-watchlist *" }));
    press("x");
    await wait(700);
    expect(said()).toBe("No open order is selected.");
  });

  it("of one letter can be switched off", async () => {
    await open();
    press("?");
    await wait(50);
    fireEvent.click(screen.getByRole("checkbox", { name: /Single letters/ }));
    fireEvent.click(screen.getByRole("button", { name: "Close" }));
    press("?");
    await wait(50);
    expect(screen.queryByRole("dialog", { name: "Keys" })).toBeNull();
  });
});

describe("the page", () => {
  it("goes on when a panel breaks, and the panel tries again on a press", async () => {
    vi.spyOn(console, "error").mockImplementation(() => undefined);
    watchlist.isBroken = true;
    await open();
    expect(screen.getByText("Watchlist has stopped.")).toBeTruthy();
    expect(screen.getByText(/No such symbol/)).toBeTruthy();
    expect(screen.getByLabelText("Quantity")).toBeTruthy();
    watchlist.isBroken = false;
    fireEvent.click(screen.getByRole("button", { name: "Try again" }));
    expect(screen.getByText("All prices")).toBeTruthy();
  });

  it("counts what is unread in its title", async () => {
    await open();
    await set(() => fake.unread.set(3));
    expect(document.title).toBe("(3) Trade · Tapewire");
    expect(screen.getByRole("button", { name: "Notifications: 3 unread" })).toBeTruthy();
  });

  it("keeps the layout over a reload, and resets it", async () => {
    await open();
    fireEvent.click(screen.getByText("Close the panel", { selector: "#panel-watchlist *" }));
    expect(screen.queryByText("All prices")).toBeNull();
    cleanup();
    await open();
    expect(screen.queryByText("All prices")).toBeNull();
    fireEvent.click(screen.getByText("Reset the layout"));
    expect(screen.getByText("All prices")).toBeTruthy();
  });

  it("shows a message for some seconds, says it, and runs its action", async () => {
    await open();
    const onPress = vi.fn();
    act(() =>
      useTerminalNow.showToast({
        title: "Order placed",
        kind: "good",
        action: { label: "Show it", onPress },
      }),
    );
    await wait(10);
    expect(said()).toBe("Order placed");
    fireEvent.click(screen.getByRole("button", { name: "Show it" }));
    expect(onPress).toHaveBeenCalledOnce();
    expect(screen.queryByText("Order placed", { selector: ".toast-title" })).toBeNull();
    act(() => useTerminalNow.showToast({ title: "Another" }));
    fireEvent.pointerEnter(screen.getByRole("region", { name: "Messages" }));
    await wait(20_000);
    expect(screen.getByText("Another", { selector: ".toast-title" })).toBeTruthy();
    fireEvent.pointerLeave(screen.getByRole("region", { name: "Messages" }));
    await wait(20_000);
    expect(screen.queryByText("Another", { selector: ".toast-title" })).toBeNull();
  });
});

describe("a notification that arrives", () => {
  const toast = () => document.querySelector<HTMLElement>(".toast");
  const shown: { title: string; options: NotificationOptions; close(): void; onclick(): void }[] =
    [];
  /** A browser that has answered the question for the permission. */
  function stubNotification(permission: NotificationPermission, construct = () => {}): void {
    vi.stubGlobal("isSecureContext", true);
    vi.stubGlobal(
      "Notification",
      class {
        static permission = permission;
        close = vi.fn();
        onclick = () => {};
        constructor(
          readonly title: string,
          readonly options: NotificationOptions,
        ) {
          construct();
          shown.push(this);
        }
      },
    );
  }
  function hidePage(isHidden: boolean): void {
    Object.defineProperty(document, "hidden", { configurable: true, get: () => isHidden });
  }

  beforeEach(() => {
    shown.length = 0;
    hidePage(true);
    localStorage.setItem("tapewire:notifications.system", "true");
  });
  afterEach(() => Reflect.deleteProperty(document, "hidden"));

  it.each([
    ["message", {}, "info"],
    ["strategy_error", {}, "bad"],
    ["order_rejected", {}, "bad"],
    ["message", { level: "error" }, "bad"],
    ["message", { level: ["error"] }, "info"],
  ])(
    "of the type %s and %o is a message of the kind %s, as plain text",
    async (type, payload, kind) => {
      await open();
      act(() => fake.arrive({ type, payload, title: "<b>Margin</b>" }));
      expect(toast()?.dataset.kind).toBe(kind);
      expect(toast()?.querySelector(".toast-title")?.textContent).toBe("<b>Margin</b>");
      expect(toast()?.textContent).toContain("Add funds");
      expect(document.querySelector(".toast-title b")).toBeNull();
    },
  );

  it("leads to what it is about", async () => {
    await open();
    act(() => fake.arrive({ payload: { symbol: "IBM", ruleId: "r" } }));
    fireEvent.click(screen.getByRole("button", { name: "Show" }));
    expect(toast()).toBeNull();
    expect(screen.getByText("IBM", { selector: ".search-symbol" })).toBeTruthy();
  });

  it("is none of somebody who has signed out", async () => {
    await open();
    await set(() => fake.session.set({ name: "signed-out", reason: "by-user" }));
    act(() => fake.arrive({}));
    expect(toast()).toBeNull();
  });

  it("is shown by the system while the page is in the background, and a press leads back", async () => {
    stubNotification("granted");
    await open();
    act(() => fake.arrive({ id: "n-7", title: "<b>Filled</b>" }));
    expect(shown.map(({ title, options }) => [title, options.body, options.tag])).toEqual([
      ["<b>Filled</b>", "Add funds", "n-7"],
    ]);
    const focus = vi.spyOn(window, "focus").mockImplementation(() => undefined);
    act(() => shown[0]!.onclick());
    expect(focus).toHaveBeenCalledOnce();
    expect(shown[0]!.close).toHaveBeenCalledOnce();
  });

  it.each([
    ["the page is seen", () => hidePage(false)],
    ["it is not allowed", () => stubNotification("denied")],
    ["nobody was asked", () => stubNotification("default")],
    ["it is switched off", () => localStorage.setItem("tapewire:notifications.system", "false")],
    ["nobody wanted it", () => localStorage.clear()],
    ["the page is not served securely", () => vi.stubGlobal("isSecureContext", false)],
    ["the browser has none", () => vi.stubGlobal("Notification", undefined)],
  ])("is not shown by the system when %s", async (_, arrange) => {
    stubNotification("granted");
    arrange();
    await open();
    act(() => fake.arrive({}));
    expect(shown).toEqual([]);
    expect(toast()).not.toBeNull();
  });

  it("is a message of the page where the system takes none from pages", async () => {
    stubNotification("granted", () => {
      throw new TypeError("Illegal constructor");
    });
    await open();
    act(() => fake.arrive({}));
    expect(toast()).not.toBeNull();
  });
});
