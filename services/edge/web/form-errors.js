/** Shows errors next to the form fields that caused them, and turns errors into messages. */

import { ApiError, Unreachable } from "/client/tapewire.js";

import { find, setMessage } from "./dom.js";

/** @param {HTMLFormElement} form */
export function clearErrors(form) {
  for (const error of form.querySelectorAll(".field-error, .form-error")) {
    setMessage(/** @type {HTMLElement} */ (error), "");
  }
  for (const input of form.querySelectorAll("[aria-invalid]")) {
    input.removeAttribute("aria-invalid");
  }
}

/**
 * Show an error next to a field and focus the field, or show it above all fields.
 *
 * @param {HTMLFormElement} form
 * @param {string | undefined} field  the name of an input; the message is shown above all fields if
 *   the form shows no such input
 * @param {string} message
 */
export function showError(form, field, message) {
  const fieldError = field ? form.querySelector(`#${CSS.escape(field)}-error`) : null;
  const controls = field ? form.elements.namedItem(field) : null;
  if (!(fieldError instanceof HTMLElement) || !controls || fieldError.closest("[hidden].field")) {
    setMessage(find(".form-error", form), message);
    return;
  }
  setMessage(fieldError, message);
  const inputs = controls instanceof RadioNodeList ? [...controls] : [controls];
  for (const input of /** @type {HTMLElement[]} */ (inputs)) {
    input.setAttribute("aria-invalid", "true");
  }
  /** @type {HTMLElement} */ (inputs[0]).focus();
}

/**
 * Get the message of a failed call for the user. Unexpected errors are logged to the console.
 *
 * @param {unknown} error
 * @returns {string}
 */
export function errorMessage(error) {
  if (error instanceof ApiError && error.isAccountChanged) {
    return "Another user has signed in in this browser.";
  }
  if (error instanceof ApiError || error instanceof Unreachable) return error.message;
  console.error(error);
  return "Something went wrong in this page; the browser console has the details.";
}
