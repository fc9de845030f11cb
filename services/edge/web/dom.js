/**
 * Helpers for the document, used by every module that shows something. Data becomes text, never
 * markup.
 */

/**
 * Get the element for `selector`.
 *
 * @param {string} selector
 * @param {ParentNode} [within]
 * @returns {any}  typed `any`, because each caller knows the type of its element
 * @throws {Error} if the page has no such element
 */
export function find(selector, within = document) {
  const element = within.querySelector(selector);
  if (!element) throw new Error(`the page has no element ${selector}`);
  return element;
}

/**
 * @param {string} tag
 * @param {Record<string, string>} [attributes]
 * @param {(Node | string)[]} children  strings become text nodes
 * @returns {any}
 */
export function createElement(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/**
 * Set an element's text if it differs. An unchanged element keeps its selection and is not announced
 * again by screen readers.
 *
 * @param {Element} element
 * @param {string} text
 */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * Set an element's text, and hide the element while the text is empty.
 *
 * @param {HTMLElement} element
 * @param {string} text
 */
export function setMessage(element, text) {
  setText(element, text);
  element.hidden = text === "";
}

/**
 * Make `children` the children of `parent`, in this order. Elements that are already in the right
 * position are not moved and keep their focus.
 *
 * @param {Element} parent
 * @param {Element[]} children
 */
export function setChildren(parent, children) {
  const wanted = new Set(children);
  for (const child of [...parent.children]) if (!wanted.has(child)) child.remove();
  children.forEach((child, index) => {
    const current = parent.children[index];
    if (current !== child) parent.insertBefore(child, current ?? null);
  });
}

/**
 * Return a function that schedules `draw` for the next animation frame, at most once per frame.
 * Browsers run no animation frames in a hidden tab: `draw` then runs once when the tab is shown.
 *
 * @param {() => void} draw
 * @returns {() => void}
 */
export function oncePerFrame(draw) {
  let isScheduled = false;
  return () => {
    if (isScheduled) return;
    isScheduled = true;
    requestAnimationFrame(() => {
      isScheduled = false;
      draw();
    });
  };
}
