// @vitest-environment jsdom
import type { ListStatus } from "@tapewire/client";
import { act, cleanup, fireEvent, render, screen } from "@testing-library/react";
import { afterEach, describe, expect, it } from "vitest";

import { ListState } from "../src/components/list-state.js";
import { Rows, Value } from "./fake-client.js";

afterEach(cleanup);

function open(first: ListStatus) {
  const status = new Value<ListStatus>(first);
  let loads = 0;
  const loadMore = async () => {
    loads += 1;
    if (loads > 1) return status.set({ name: "ready" });
    status.set({ name: "failed", error: new Error("Still nobody there.") });
    throw new Error("Still nobody there.");
  };
  const store = Object.assign(new Rows<unknown>(), { status, loadMore });
  render(
    <ListState store={store} name="your orders">
      <p>No orders yet</p>
    </ListState>,
  );
  return status;
}

describe("a list without a row", () => {
  it("does not say that there is nothing before it is loaded", () => {
    const status = open({ name: "loading" });
    expect(screen.getByText("Loading your orders…")).toBeTruthy();
    expect(screen.queryByText("No orders yet")).toBeNull();
    act(() => status.set({ name: "ready" }));
    expect(screen.getByText("No orders yet")).toBeTruthy();
  });

  it("says why it could not be loaded, and tries again until it is", async () => {
    open({ name: "failed", error: new Error("The server is down.") });
    expect(screen.getByText("Your orders could not be loaded")).toBeTruthy();
    expect(screen.getByText("The server is down.")).toBeTruthy();
    await act(async () => fireEvent.click(screen.getByRole("button", { name: "Try again" })));
    expect(screen.getByText("Still nobody there.")).toBeTruthy();
    await act(async () => fireEvent.click(screen.getByRole("button", { name: "Try again" })));
    expect(screen.getByText("No orders yet")).toBeTruthy();
  });
});
