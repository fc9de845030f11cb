// @vitest-environment jsdom
import { describe, expect, it } from "vitest";

import { KEY_TABLE } from "../src/keys/key-table.js";
import { isTyping, type KeyPress, matchKey, SEQUENCE_MS } from "../src/keys/match-key.js";

const press = (key: string, more: Partial<KeyPress> = {}): KeyPress => ({
  key,
  ctrlKey: false,
  metaKey: false,
  altKey: false,
  isRepeat: false,
  at: 1_000,
  ...more,
});

describe("keys", () => {
  it("has each key once", () => {
    const keys = KEY_TABLE.flatMap((binding) => binding.keys);
    expect(new Set(keys).size).toBe(keys.length);
  });

  it.each([
    [press("/"), "search-symbol"],
    [press("k", { ctrlKey: true }), "search-symbol"],
    [press("k", { metaKey: true }), "search-symbol"],
    [press("b"), "buy"],
    [press("B"), "buy"],
    [press("s"), "sell"],
    [press("x"), "cancel-order"],
    [press("?"), "help"],
    [press("Escape"), "close"],
  ])("%o is a command", (pressed, command) => {
    expect(matchKey(pressed, null).command).toBe(command);
  });

  it.each([
    ["with Alt", press("b", { altKey: true })],
    ["with Ctrl", press("b", { ctrlKey: true })],
    ["held down", press("x", { isRepeat: true })],
    ["of no meaning", press("q")],
    ["Ctrl and S, which saves", press("s", { ctrlKey: true })],
  ])("a key %s is no command", (_, pressed) => {
    expect(matchKey(pressed, null)).toEqual({ command: null, prefix: null });
  });

  it("goes to a panel by g and its letter, within a moment", () => {
    const first = matchKey(press("g"), null);
    expect(first).toEqual({ command: null, prefix: { key: "g", at: 1_000 } });
    expect(matchKey(press("w", { at: 1_900 }), first.prefix).command).toBe("go:watchlist");
    expect(matchKey(press("s", { at: 1_900 }), first.prefix).command).toBe("go:strategies");
    expect(matchKey(press("s", { at: 1_001 + SEQUENCE_MS }), first.prefix).command).toBe("sell");
  });

  it("takes a wrong letter after g as nothing, not as a command", () => {
    expect(matchKey(press("x", { at: 1_100 }), { key: "g", at: 1_000 })).toEqual({
      command: null,
      prefix: null,
    });
  });

  it("leaves single letters alone when a user switched them off", () => {
    expect(matchKey(press("b"), null, false).command).toBeNull();
    expect(matchKey(press("g"), null, false).prefix).toBeNull();
    expect(matchKey(press("k", { ctrlKey: true }), null, false).command).toBe("search-symbol");
    expect(matchKey(press("Escape"), null, false).command).toBe("close");
  });
});

describe("no key is a command while somebody types", () => {
  const make = (html: string): Element => {
    document.body.innerHTML = html;
    return document.body.firstElementChild!;
  };

  it.each([
    "<input>",
    '<input type="search">',
    '<input type="number">',
    "<textarea></textarea>",
    "<select></select>",
    '<div role="combobox" tabindex="0"></div>',
    '<div role="searchbox" tabindex="0"></div>',
  ])("in %s", (html) => {
    expect(isTyping(make(html))).toBe(true);
  });

  it.each([
    "<button></button>",
    '<input type="checkbox">',
    '<input type="radio">',
    '<tr tabindex="0"></tr>',
    "<main></main>",
  ])("but on %s it may be", (html) => {
    expect(isTyping(make(html) ?? document.body)).toBe(false);
  });
});
