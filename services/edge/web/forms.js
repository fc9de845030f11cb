/** Errors beside their fields: the server names the field that is wrong by its `path`. */

import { ApiError, Unreachable } from "/client/tapewire.js";

import { find, say } from "./dom.js";

/** @param {HTMLFormElement} form */
export function clearErrors(form) {
  for (const error of form.querySelectorAll(".field-error, .form-error")) {
    say(/** @type {HTMLElement} */ (error), "");
  }
  for (const input of form.querySelectorAll("[aria-invalid]")) {
    input.removeAttribute("aria-invalid");
  }
}

/**
 * @param {HTMLFormElement} form
 * @param {string | undefined} field  the name of an input; anything else shows above all fields
 * @param {string} message
 */
export function showError(form, field, message) {
  const beside = field ? form.querySelector(`#${CSS.escape(field)}-error`) : null;
  const controls = field ? form.elements.namedItem(field) : null;
  if (!(beside instanceof HTMLElement) || !controls || beside.closest("[hidden].field")) {
    say(find(".form-error", form), message);
    return;
  }
  say(beside, message);
  const inputs = controls instanceof RadioNodeList ? [...controls] : [controls];
  for (const input of /** @type {HTMLElement[]} */ (inputs)) {
    input.setAttribute("aria-invalid", "true");
  }
  /** @type {HTMLElement} */ (inputs[0]).focus();
}

/**
 * What went wrong with a call, for people.
 *
 * @param {unknown} error
 * @returns {string}
 */
export function reasonOf(error) {
  if (error instanceof ApiError || error instanceof Unreachable) return error.message;
  console.error(error);
  return "Something went wrong in this page; its console has the details.";
}
