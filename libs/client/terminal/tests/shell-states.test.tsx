// @vitest-environment jsdom
import { act, fireEvent, screen, within } from "@testing-library/react";
import { describe, expect, it, vi } from "vitest";

import { fake, open, said, set, setUpPage, terminal, wait } from "./shell-harness.js";

vi.mock("../src/panels/registry.js", () => import("./panel-registry.js"));
setUpPage();

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
    act(() => terminal.announce("Something else."));
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
