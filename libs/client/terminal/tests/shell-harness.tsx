/** The shell over a fake client and two small panels, in jsdom, with a clock that tests advance. */

import { TapewireProvider } from "@tapewire/react";
import { act, cleanup, configure, fireEvent, render } from "@testing-library/react";
import { afterEach, beforeEach, vi } from "vitest";

import { Shell } from "../src/app/shell.js";
import { useTerminal } from "../src/app/terminal-context.js";
import { createFormats } from "../src/format/index.js";
import { useKeyCommand } from "../src/keys/commands.js";
import { createFakeClient, type FakeClient } from "./fake-client.js";
import { contents } from "./panel-registry.js";

// Whether an element is hidden takes jsdom long to find out.
configure({ defaultHidden: true });

export const watchlist = { isBroken: false };

function Watchlist() {
  if (watchlist.isBroken) throw new Error("No such symbol.");
  useKeyCommand("cancel-order", () => {
    terminal.announce("Canceled.");
    return undefined;
  });
  terminal = useTerminal();
  return <p>All prices</p>;
}

/** What the shell offers to panels. */
export let terminal: ReturnType<typeof useTerminal>;

function Ticket() {
  const { ticketRequest } = useTerminal();
  return (
    <p>
      <input aria-label="Quantity" data-autofocus />
      {JSON.stringify(ticketRequest)}
    </p>
  );
}

contents.watchlist = Watchlist;
contents.ticket = Ticket;

/** The client of the page that is open. */
export let fake: FakeClient;

/** The page, after it has said its first state. */
export async function open(): Promise<void> {
  render(
    <TapewireProvider client={fake.client}>
      <Shell formats={createFormats("en-US")} />
    </TapewireProvider>,
  );
  await wait(2_000);
}

/** Let timers and lazy parts run. */
export async function wait(milliseconds = 0): Promise<void> {
  await act(async () => {
    await vi.advanceTimersByTimeAsync(milliseconds);
    await vi.dynamicImportSettled();
  });
}

export async function set(change: () => void): Promise<void> {
  act(change);
  await wait(700);
}

export const said = () => document.getElementById("live-region")?.textContent ?? "";
export const press = (key: string, target: Element = document.body) =>
  fireEvent.keyDown(target, { key });

/** Make and clear the page for each test of a module. */
export function setUpPage(): void {
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
}
