/**
 * The user's views: which items to show, one of them chosen; made, changed and deleted here. The
 * server calls them configurations.
 */

import { ApiError, call } from "/client/tapewire.js";

import { arrange, find, make, say, write } from "./dom.js";
import { clearErrors, reasonOf, showError } from "./forms.js";

const URL = "/api/v2/configurations";

/**
 * @typedef {object} View
 * @property {string} id
 * @property {string} name
 * @property {string[]} tickers
 * @property {string[]} tags
 */

/** @param {string} id */
const urlOf = (id) => `${URL}/${encodeURIComponent(id)}`;

/**
 * Words between commas; a dollar sign before a ticker is how some write it.
 *
 * @param {string} text
 * @returns {string[]}
 */
export function listed(text) {
  return text
    .split(/[,;\n]/)
    .map((word) => word.trim().replace(/^\$/, ""))
    .filter((word) => word !== "");
}

/**
 * @param {HTMLElement} panel
 * @param {object} actions
 * @param {(view: View | null) => void} actions.onPick  null is everything
 * @param {() => void} actions.onGone  the chosen one was deleted elsewhere
 */
export function viewsPanel(panel, { onPick, onGone }) {
  const list = find("#view-list", panel);
  const trouble = find(".views-error", panel);
  const form = find("form", panel);
  const newView = find("#new-view", panel);
  const remove = find("#delete-view", panel);
  /** The oldest first. @type {View[]} */
  let views = [];
  let chosen = "";
  /** The one in the form; null for a new one. @type {View | null} */
  let edited = null;
  // Other tabs of this browser keep up with what is saved and deleted here.
  const others = new BroadcastChannel("tapewire views");

  function draw() {
    const everything = { id: "", name: "All items", tickers: [], tags: [] };
    const old = new Map([...list.children].map((line) => [line.dataset.view, line]));
    const lines = [everything, ...views].map((view) => {
      const line = old.get(JSON.stringify(view)) ?? choice(view);
      find("input", line).checked = view.id === chosen;
      return line;
    });
    arrange(list, lines);
  }

  /** @param {string} id  "" is everything */
  function pick(id) {
    chosen = id;
    draw();
    onPick(views.find((view) => view.id === id) ?? null);
  }

  /** @param {View | null} view */
  function edit(view) {
    edited = view;
    clearErrors(form);
    form.elements.name.value = view?.name ?? "";
    form.elements.tickers.value = view?.tickers.join(", ") ?? "";
    form.elements.tags.value = view?.tags.join(", ") ?? "";
    write(find("#view-form-title", form), view ? `Change “${view.name}”` : "New view");
    remove.hidden = view === null;
    sure(false);
    form.hidden = false;
    newView.hidden = true;
    form.elements.name.focus();
  }

  function closeForm() {
    if (form.hidden) return;
    const came = edited?.id;
    form.hidden = true;
    newView.hidden = false;
    const changing = came && list.querySelector(`[data-change="${CSS.escape(came)}"]`);
    (changing || newView).focus();
  }

  /** @param {boolean} asked  whether the next press deletes */
  function sure(asked) {
    remove.dataset.sure = String(asked);
    write(remove, asked ? "Press again to delete" : "Delete view");
  }

  async function save() {
    clearErrors(form);
    const body = {
      name: form.elements.name.value.trim(),
      tickers: listed(form.elements.tickers.value),
      tags: listed(form.elements.tags.value),
    };
    if (body.name === "") return showError(form, "name", "Enter a name.");
    if (body.tickers.length === 0) return showError(form, "tickers", "Enter at least one ticker.");
    await attempt(async () => {
      const before = edited;
      /** @type {View} */
      const saved = before
        ? await call("PATCH", urlOf(before.id), body)
        : await call("POST", URL, body);
      views = before
        ? views.map((view) => (view.id === saved.id ? saved : view))
        : [...views, saved];
      others.postMessage("changed");
      pick(saved.id);
      edited = saved;
      closeForm();
    });
  }

  async function forget() {
    const gone = edited;
    if (gone === null) return;
    if (remove.dataset.sure !== "true") return sure(true);
    await attempt(async () => {
      await call("DELETE", urlOf(gone.id)).catch((error) => {
        // Deleted elsewhere already, which is what was wanted.
        if (!(error instanceof ApiError && error.statusCode === 404)) throw error;
      });
      others.postMessage("changed");
      views = views.filter(({ id }) => id !== gone.id);
      if (chosen === gone.id) pick("");
      else draw();
      closeForm();
    });
  }

  /** @param {() => Promise<void>} work */
  async function attempt(work) {
    const buttons = form.querySelectorAll("button");
    for (const button of buttons) button.disabled = true;
    try {
      await work();
    } catch (error) {
      const field = error instanceof ApiError ? fieldOf(error.path) : undefined;
      showError(form, field, reasonOf(error));
    } finally {
      for (const button of buttons) button.disabled = false;
    }
  }

  async function read() {
    try {
      views = (await call("GET", URL)).configurations;
      say(trouble, "");
    } catch (error) {
      say(trouble, `Your views could not be read. ${reasonOf(error)}`);
    }
  }

  /** Keep up with what was done elsewhere. */
  async function refresh() {
    if (panel.hidden) return;
    const known = () => JSON.stringify(views.find(({ id }) => id === chosen));
    const before = known();
    await read();
    if (panel.hidden || known() === before) draw();
    else if (known() === undefined) onGone();
    else pick(chosen);
  }

  others.onmessage = refresh;
  list.addEventListener("change", (/** @type {Event} */ event) => {
    pick(/** @type {HTMLInputElement} */ (event.target).value);
  });
  list.addEventListener("click", ({ target }) => {
    const wanted = /** @type {HTMLElement} */ (target).dataset.change;
    const view = views.find(({ id }) => id === wanted);
    if (view) edit(view);
  });
  newView.addEventListener("click", () => edit(null));
  find("#cancel-view", form).addEventListener("click", closeForm);
  remove.addEventListener("click", forget);
  remove.addEventListener("blur", () => sure(false));
  form.addEventListener("submit", (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    void save();
  });
  form.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    if (event.key === "Escape") closeForm();
  });

  return {
    /**
     * Read the views anew and choose one of them.
     *
     * @param {string} id  "" is everything, and so is one that there is not
     */
    async show(id) {
      panel.hidden = false;
      await read();
      if (panel.hidden) return; // signed out meanwhile
      pick(views.some((view) => view.id === id) ? id : "");
    },

    refresh,

    hide() {
      panel.hidden = true;
      form.hidden = true;
      newView.hidden = false;
      views = [];
      chosen = "";
      say(trouble, "");
      draw();
    },
  };
}

/** @param {View} view */
function choice(view) {
  const { id, name, tickers, tags } = view;
  const input = make("input", { type: "radio", name: "view", value: id });
  const what = [...tickers, ...tags.map((tag) => `#${tag}`)].join(" ");
  const words = make("span", {}, make("b", {}, name), ...(what ? [make("small", {}, what)] : []));
  const change = make("button", { type: "button", class: "quiet", "data-change": id }, "Change");
  change.setAttribute("aria-label", `Change ${name}`);
  const asKnown = { class: "view", "data-view": JSON.stringify(view) };
  return make("div", asKnown, make("label", {}, input, words), ...(id ? [change] : []));
}

/**
 * "tickers[3]" is about the field "tickers".
 *
 * @param {string | undefined} path
 */
function fieldOf(path) {
  return path?.replace(/^\$\.?/, "").split(/[.[]/)[0];
}
