/**
 * The panel of the user's views. A view selects items by tickers and tags. The panel selects,
 * creates, changes and deletes views. The API calls them configurations.
 */

import { ApiError } from "/client/tapewire.js";

import { createElement, find, setChildren, setMessage, setText } from "./dom.js";
import { clearErrors, errorMessage, showError } from "./form-errors.js";
import { showToast } from "./toasts.js";

const CONFIGURATIONS_URL = "/api/v2/configurations";

/**
 * @typedef {object} View
 * @property {string} id
 * @property {string} name
 * @property {string[]} tickers
 * @property {string[]} tags
 */

/** @param {string} id */
const viewUrl = (id) => `${CONFIGURATIONS_URL}/${encodeURIComponent(id)}`;

/**
 * Parse words separated by commas, semicolons or line breaks. A leading dollar sign is removed:
 * some users write tickers as `$IBM`.
 *
 * @param {string} text
 * @returns {string[]}
 */
export function parseList(text) {
  return text
    .split(/[,;\n]/)
    .map((word) => word.trim().replace(/^\$/, ""))
    .filter((word) => word !== "");
}

/**
 * @param {HTMLElement} panel
 * @param {import("./account.js").Account} account
 * @param {object} callbacks
 * @param {(view: View | null) => void} callbacks.onPick  null for all items
 * @param {() => void} callbacks.onDeletedElsewhere  called when the selected view was deleted in
 *   another tab or by another program
 */
export function createViewsPanel(panel, account, { onPick, onDeletedElsewhere }) {
  const list = find("#view-list", panel);
  const loadError = find(".views-error", panel);
  const form = find("form", panel);
  const newView = find("#new-view", panel);
  const deleteButton = find("#delete-view", panel);
  /** The oldest first. @type {View[]} */
  let views = [];
  /** The id of the selected view; "" for all items. */
  let selectedId = "";
  /** The view in the form; null for a new one. @type {View | null} */
  let editedView = null;
  // Tells the browser's other tabs to reload their views.
  const tabChannel = new BroadcastChannel("tapewire views");

  function draw() {
    const allItems = { id: "", name: "All items", tickers: [], tags: [] };
    const existing = new Map([...list.children].map((option) => [option.dataset.view, option]));
    const options = [allItems, ...views].map((view) => {
      const option = existing.get(JSON.stringify(view)) ?? viewOption(view);
      find("input", option).checked = view.id === selectedId;
      return option;
    });
    setChildren(list, options);
  }

  /** @param {string} id  "" for all items */
  function pick(id) {
    selectedId = id;
    draw();
    onPick(views.find((view) => view.id === id) ?? null);
  }

  /** @param {View | null} view */
  function edit(view) {
    editedView = view;
    clearErrors(form);
    form.elements.name.value = view?.name ?? "";
    form.elements.tickers.value = view?.tickers.join(", ") ?? "";
    form.elements.tags.value = view?.tags.join(", ") ?? "";
    setText(find("#view-form-title", form), view ? `Change “${view.name}”` : "New view");
    deleteButton.hidden = view === null;
    setDeleteConfirmation(false);
    form.hidden = false;
    newView.hidden = true;
    form.elements.name.focus();
  }

  function closeForm() {
    if (form.hidden) return;
    const editedId = editedView?.id;
    form.hidden = true;
    newView.hidden = false;
    const changeButton = editedId && list.querySelector(`[data-change="${CSS.escape(editedId)}"]`);
    (changeButton || newView).focus();
  }

  /** @param {boolean} isArmed  whether the next press of the button deletes the view */
  function setDeleteConfirmation(isArmed) {
    deleteButton.dataset.sure = String(isArmed);
    setText(deleteButton, isArmed ? "Press again to delete" : "Delete view");
  }

  async function save() {
    clearErrors(form);
    const body = {
      name: form.elements.name.value.trim(),
      tickers: parseList(form.elements.tickers.value),
      tags: parseList(form.elements.tags.value),
    };
    if (body.name === "") return showError(form, "name", "Enter a name.");
    if (body.tickers.length === 0) return showError(form, "tickers", "Enter at least one ticker.");
    await withDisabledButtons(async () => {
      const { userId } = account;
      const editing = editedView;
      /** @type {View} */
      const saved = editing
        ? await account.call("PATCH", viewUrl(editing.id), body)
        : await account.call("POST", CONFIGURATIONS_URL, body);
      if (userId !== account.userId) return;
      views = editing
        ? views.map((view) => (view.id === saved.id ? saved : view))
        : [...views, saved];
      tabChannel.postMessage("changed");
      pick(saved.id);
      editedView = saved;
      closeForm();
    });
  }

  async function deleteView() {
    const deleted = editedView;
    if (deleted === null) return;
    if (deleteButton.dataset.sure !== "true") return setDeleteConfirmation(true);
    await withDisabledButtons(async () => {
      const { userId } = account;
      await account.call("DELETE", viewUrl(deleted.id)).catch((error) => {
        // 404: the view has already been deleted.
        if (!(error instanceof ApiError && error.statusCode === 404)) throw error;
      });
      if (userId !== account.userId) return;
      tabChannel.postMessage("changed");
      views = views.filter(({ id }) => id !== deleted.id);
      if (selectedId === deleted.id) pick("");
      else draw();
      closeForm();
    });
  }

  /**
   * Run an action with the form's buttons disabled, and show its error.
   *
   * @param {() => Promise<void>} action
   */
  async function withDisabledButtons(action) {
    const buttons = form.querySelectorAll("button");
    for (const button of buttons) button.disabled = true;
    try {
      await action();
    } catch (error) {
      const isAccountChanged = error instanceof ApiError && error.isAccountChanged;
      const field = error instanceof ApiError ? fieldName(error.path) : undefined;
      if (isAccountChanged) showToast(`Not saved. ${errorMessage(error)}`, "bad");
      else showError(form, field, errorMessage(error));
    } finally {
      for (const button of buttons) button.disabled = false;
    }
  }

  async function load() {
    const { userId } = account;
    try {
      const list = await account.call("GET", CONFIGURATIONS_URL);
      if (userId !== account.userId) return;
      views = list.configurations;
      setMessage(loadError, "");
    } catch (error) {
      if (userId !== account.userId) return;
      setMessage(loadError, `Your views could not be loaded. ${errorMessage(error)}`);
    }
  }

  /** Reload the views: other tabs or programs may have changed them. */
  async function refresh() {
    if (panel.hidden) return;
    const selectedView = () => JSON.stringify(views.find(({ id }) => id === selectedId));
    const before = selectedView();
    const { userId } = account;
    await load();
    if (userId !== account.userId) return;
    if (selectedView() === before) draw();
    else if (selectedView() === undefined) onDeletedElsewhere();
    else pick(selectedId);
  }

  tabChannel.onmessage = refresh;
  list.addEventListener("change", (/** @type {Event} */ event) => {
    pick(/** @type {HTMLInputElement} */ (event.target).value);
  });
  list.addEventListener("click", (/** @type {Event} */ { target }) => {
    const id = /** @type {HTMLElement} */ (target).dataset.change;
    const view = views.find((view) => view.id === id);
    if (view) edit(view);
  });
  newView.addEventListener("click", () => edit(null));
  find("#cancel-view", form).addEventListener("click", closeForm);
  deleteButton.addEventListener("click", deleteView);
  deleteButton.addEventListener("blur", () => setDeleteConfirmation(false));
  form.addEventListener("submit", (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    void save();
  });
  form.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    if (event.key === "Escape") closeForm();
  });

  return {
    /**
     * Load the views and select one of them.
     *
     * @param {string} id  "" or an unknown id selects all items
     */
    async show(id) {
      const { userId } = account;
      panel.hidden = false;
      await load();
      if (userId !== account.userId) return; // another user, or nobody, has signed in meanwhile
      pick(views.some((view) => view.id === id) ? id : "");
    },

    refresh,

    hide() {
      panel.hidden = true;
      form.hidden = true;
      newView.hidden = false;
      views = [];
      selectedId = "";
      setMessage(loadError, "");
      draw();
    },
  };
}

/** @param {View} view */
function viewOption(view) {
  const { id, name, tickers, tags } = view;
  const input = createElement("input", { type: "radio", name: "view", value: id });
  const criteria = [...tickers, ...tags.map((tag) => `#${tag}`)].join(" ");
  const label = createElement("span", {}, createElement("b", {}, name));
  if (criteria) label.append(createElement("small", {}, criteria));
  const change = createElement("button", { type: "button", class: "quiet", "data-change": id }, "Change");
  change.setAttribute("aria-label", `Change ${name}`);
  const attributes = { class: "view", "data-view": JSON.stringify(view) };
  return createElement("div", attributes, createElement("label", {}, input, label), ...(id ? [change] : []));
}

/**
 * Get the name of the form field for the path of an error: "tickers" for "$.tickers[3]".
 *
 * @param {string | undefined} path
 */
function fieldName(path) {
  return path?.replace(/^\$\.?/, "").split(/[.[]/)[0];
}
