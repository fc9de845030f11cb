/** What is new is announced by one tab: usually once, and by another tab after the first has ended. */

import { expect, test } from "vitest";

import { FakeEdge } from "./fake-edge.js";
import { type Mode, SimTab } from "./sim-tab.js";
import { seededRandom, World } from "./world.js";

/** A tab that has ended, or a hub, is noticed within this time. */
const NOTICED_MS = 4_000;

class Browser {
  readonly world = new World(seededRandom(7));
  readonly edge = new FakeEdge(this.world);
  readonly tabs: SimTab[] = [];

  constructor(readonly mode: Mode) {
    this.edge.user = "dave";
  }

  async open(count: number): Promise<void> {
    for (let made = 0; made < count; made += 1) {
      this.tabs.push(new SimTab(`tab-${made}`, this.mode, this.world, this.edge));
      await this.world.advance(500);
    }
    await this.world.advance(NOTICED_MS);
  }

  /** Executions that follow each other; the ids of those that were announced, and by which tabs. */
  async trade(count: number): Promise<{ made: string[]; announced: string[]; by: SimTab[] }> {
    const before = this.tabs.map(({ announced }) => announced.length);
    const from = this.edge.log.length;
    for (let number = 0; number < count; number += 1) {
      this.edge.trade("dave");
      this.edge.quote();
      await this.world.advance(30);
    }
    await this.world.advance(2_000);
    const fresh = this.tabs.map(({ announced }, index) => announced.slice(before[index]));
    return {
      made: this.edge.log.slice(from).map(({ tradeId }) => tradeId),
      announced: fresh.flat(),
      by: this.tabs.filter((_, index) => fresh[index]?.length),
    };
  }
}

test.each(["worker", "leader"] as const)("each event is announced once, by %s", async (mode) => {
  const browser = new Browser(mode);
  await browser.open(3);
  const first = await browser.trade(20);
  expect([first.announced, first.by.length]).toEqual([first.made, 1]);

  first.by[0]?.setVisible(false);
  await browser.world.advance(500);
  const second = await browser.trade(20);
  expect(second.announced).toEqual(second.made);
  expect(second.by).not.toContain(first.by[0]);
});

test.each([
  ["worker", "crash"],
  ["leader", "crash"],
  ["worker", "freeze"],
  ["leader", "freeze"],
] as const)(
  "another tab announces what comes after the end of the announcing tab: %s, %s",
  async (mode, how) => {
    const browser = new Browser(mode);
    await browser.open(3);
    const [announcer] = (await browser.trade(1)).by;
    if (announcer === undefined) throw new Error("nobody announces");
    if (how === "freeze") announcer.page.emit("leave"); // the browser says that it freezes a page
    if (how === "freeze") browser.world.freeze(announcer.process);
    else browser.world.kill(announcer.process);
    await browser.world.advance(NOTICED_MS);
    const { made, announced, by } = await browser.trade(20);
    expect(announced).toEqual(made);
    expect(by).not.toContain(announcer);
  },
);
