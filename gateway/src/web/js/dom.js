// Elements without markup: text from the library only ever becomes text, so that no title can become a script.

/** @param {string} id */
export const $ = (id) => document.getElementById(id);

/**
 * Makes an element. `on` holds listeners, `data` the dataset, `vars` custom properties, `text` the text;
 * anything else is an attribute, left out where it is null, undefined or false.
 * @param {string} tag
 * @param {Record<string, any>} [props]
 * @param {...(Node|string|null|undefined|false)} children
 * @returns {any}
 */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  const { on = {}, data = {}, vars = {}, text, ...attributes } = props;
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    element.setAttribute(name, value === true ? "" : String(value));
  }
  Object.assign(element.dataset, data);
  for (const [name, value] of Object.entries(vars)) element.style.setProperty(name, value);
  for (const [name, act] of Object.entries(on)) element.addEventListener(name, act);
  if (text !== undefined) element.textContent = text;
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Puts text into an element only if it changed, so that screen readers and layout are left alone. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
