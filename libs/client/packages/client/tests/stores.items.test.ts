/** Items: where they are in their list, also those that were only corrected. */

import { describe, expect, test } from "vitest";
import { CONNECTED, event, idOf, item } from "./events.js";
import { listen } from "./fake-source.js";
import { installStores, settle } from "./store-fixture.js";

const fixture = installStores();

describe("items", () => {
  const page = (sequence: number, ids: string[], next?: string): unknown => ({
    items: ids.map((id) => item(id)), // the newest last, as the server has them
    as_of: idOf(sequence),
    more: false,
    reset: false,
    ...(next && { next }),
  });
  const shown = () => fixture.stores.items.keys.get();

  test("the newest is first, whether it came by the stream or by a page", async () => {
    const stop = listen(fixture.stores.items.keys);
    fixture.source.send(CONNECTED, event("new_item", item("c")), event("checkpoint", {}, 3));
    expect(shown()).toEqual(["c"]);
    fixture.calls.at(0).answer(page(3, ["b", "c"], "older"));
    await settle();
    fixture.source.send(event("new_item", item("d"), 4), event("new_item", item("e"), 5));
    expect(shown()).toEqual(["e", "d", "c", "b"]);
    const more = fixture.stores.items.loadMore();
    fixture.calls.at(1).answer(page(5, ["0", "a"]));
    await more;
    expect(shown()).toEqual(["e", "d", "c", "b", "a", "0"]);
    stop();
  });

  test.each([
    ["before the first page", true],
    ["after it", false],
  ])("one that was only corrected waits for its page, corrected %s", async (_, isEarly) => {
    const stop = listen(fixture.stores.items.keys);
    const correction = event("item:corrected", item("a", { title: "right" }), 5);
    fixture.source.send(CONNECTED, event("checkpoint", {}, 3));
    if (isEarly) fixture.source.send(correction);
    expect(shown()).toEqual([]);
    fixture.calls.at(0).answer(page(4, ["b", "c"], "older"));
    await settle();
    if (!isEarly) fixture.source.send(correction, event("new_item", item("d"), 6));
    expect(shown()).toEqual(isEarly ? ["c", "b"] : ["d", "c", "b"]);
    const more = fixture.stores.items.loadMore();
    fixture.calls.at(1).answer(page(4, ["0", "a"])); // a page of before the correction
    await more;
    expect(shown().slice(-3)).toEqual(["b", "a", "0"]);
    expect(fixture.stores.items.get("a")?.title).toBe("right");
    stop();
  });

  test("a correction of one that should be there loads the list anew, once", async () => {
    const stop = listen(fixture.stores.items.keys);
    fixture.source.send(CONNECTED, event("checkpoint", {}, 3));
    fixture.calls.at(0).answer(page(3, ["b", "c"]));
    await settle();
    fixture.source.send(event("item:corrected", item("a", { title: "right" }), 5));
    expect([shown(), fixture.calls.made.length]).toEqual([["c", "b"], 2]);
    fixture.calls.at(1).answer(page(5, ["a", "b", "c"]));
    await settle();
    expect(shown()).toEqual(["c", "b", "a"]);
    fixture.source.send(event("item:corrected", item("a", { title: "better" }), 6));
    fixture.source.send(event("new_item", item("d"), 7));
    expect([shown(), fixture.calls.made.length]).toEqual([["d", "c", "b", "a"], 2]);
    expect(fixture.stores.items.get("a")?.title).toBe("better");
    stop();
  });
});
