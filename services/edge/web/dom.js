/**
 * The few ways in which this page touches the document. Data only ever becomes text, never markup.
 */

/**
 * The one element that `selector` names; its absence is a mistake in index.html.
 *
 * @param {string} selector
 * @param {ParentNode} [within]
 * @returns {any} as the element that it is; the callers know which
 */
export function find(selector, within = document) {
  const found = within.querySelector(selector);
  if (!found) throw new Error(`the page has no ${selector}`);
  return found;
}

/**
 * A new element.
 *
 * @param {string} tag
 * @param {Record<string, string>} [attributes]
 * @param {(Node | string)[]} children  strings become text
 * @returns {any}
 */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/**
 * Set text, but only when it changes: what stays keeps its selection and disturbs no reader.
 *
 * @param {Element} element
 * @param {string} text
 */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * Say something in an element that is hidden while it has nothing to say.
 *
 * @param {HTMLElement} element
 * @param {string} text
 */
export function say(element, text) {
  write(element, text);
  element.hidden = text === "";
}

/**
 * Make `children` the children of `parent`, in this order. What stays is not moved, so it keeps
 * its focus.
 *
 * @param {Element} parent
 * @param {Element[]} children
 */
export function arrange(parent, children) {
  const wanted = new Set(children);
  for (const child of [...parent.children]) if (!wanted.has(child)) child.remove();
  children.forEach((child, index) => {
    const there = parent.children[index];
    if (there !== child) parent.insertBefore(child, there ?? null);
  });
}

/**
 * A function that runs `draw` once in the next frame, however often it is called before. Nothing
 * is drawn while the tab is hidden; what has piled up by then is drawn in one go.
 *
 * @param {() => void} draw
 * @returns {() => void}
 */
export function everyFrame(draw) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      draw();
    });
  };
}
