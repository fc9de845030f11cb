/** An account change leaves nothing of the user before, and everything that all users see. */

import { describe, expect, test } from "vitest";

import { Gathering } from "../../src/hub/gathering.js";
import type { HubHeader } from "../../src/hub/messages.js";
import { ViewStore } from "../../src/hub/view-store.js";
import { Replica } from "../../src/sharing/replica.js";
import type { TopicView } from "../../src/source.js";
import { emptyView } from "../../src/topics.js";
import { FakeClock } from "../fakes.js";

const OF_THE_USER = ["agents", "connections", "orders", "notifications"];
const OF_ALL = ["prices", "items"];
const NAMES = [...OF_THE_USER, ...OF_ALL];

/** A view that shows something. */
function shown(name: string): TopicView {
  return { ...emptyView(name), phase: "complete", position: "e-1" };
}

const views = () => new Map(NAMES.map((name) => [name, shown(name)]));

function header(userId: string | null): HubHeader {
  return {
    term: 1,
    outlet: "o",
    sentAt: 0,
    position: "e-1",
    status: { name: "live", isPolling: false },
    user: { userId, at: 1 },
    lastEventAt: null,
    lastReset: null,
  };
}

/** A tab of `tabUser` that was sent all views by a hub of `hubUser`. */
function replicaOf(tabUser: string | null, hubUser: string | null): Replica {
  const replica = new Replica("tab");
  replica.setTopics(NAMES, new Set(NAMES));
  replica.setUser(tabUser);
  sendViews(replica, hubUser);
  return replica;
}

function sendViews(replica: Replica, hubUser: string | null, number = 0): void {
  const all = Object.fromEntries(views());
  replica.receive({ ...header(hubUser), kind: "views", number, tab: "tab", views: all });
}

describe("after an account change", () => {
  test("a hub keeps what all users see", () => {
    const store = new ViewStore();
    store.replace(views());
    store.dropPrivate();
    expect([...store.all().keys()]).toEqual(OF_ALL);
  });

  test("a new hub continues from nothing that tabs had of the user before", () => {
    const clock = new FakeClock();
    const gathering = new Gathering({
      environment: clock as never,
      countTabs: () => Promise.resolve(null),
      tabs: () => [],
      ask: () => {},
      onEnd: () => {},
    });
    for (const [name, view] of views()) gathering.views.set(name, view);
    gathering.dropPrivate();
    expect([...gathering.views.keys()]).toEqual(OF_ALL);
    gathering.end();
  });

  test.each([["bob"], [null]])("a tab of %s shows what all users see", (userId) => {
    const replica = replicaOf("ada", "ada");
    expect(replica.complete.sort()).toEqual([...NAMES].sort());
    const changed = replica.setUser(userId).map(({ name }) => name);
    expect(changed.sort()).toEqual([...OF_THE_USER].sort());
    expect(replica.complete.sort()).toEqual([...OF_ALL].sort());
    expect(replica.missing.sort()).toEqual([...OF_THE_USER].sort());
  });

  test("a tab takes nothing of a hub that still has the user before, and all when it has not", () => {
    const replica = replicaOf("bob", "ada");
    expect(replica.complete.sort()).toEqual([...OF_ALL].sort());
    sendViews(replica, "bob", 1);
    expect(replica.complete.sort()).toEqual([...NAMES].sort());
  });

  test("a tab that is signed out follows public topics of a hub that is signed out", () => {
    expect(replicaOf(null, null).complete).toContain("agents");
    expect(replicaOf(null, "ada").complete.sort()).toEqual([...OF_ALL].sort());
  });
});
