// @vitest-environment jsdom
import { act, cleanup, fireEvent, screen, within } from "@testing-library/react";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import {
  fake,
  open,
  press,
  said,
  set,
  setUpPage,
  terminal,
  wait,
  watchlist,
} from "./shell-harness.js";

vi.mock("../src/panels/registry.js", () => import("./panel-registry.js"));
setUpPage();

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
      terminal.showToast({
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
    act(() => terminal.showToast({ title: "Another" }));
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
