// Elements made of texts, never of markup: whatever a model or an artifact says stays text.

/**
 * An element.
 * @param {string} tag
 * @param {Object<string, unknown>} attributes Those that are null, undefined or false are left out; true sets them bare.
 * @param {...(Node|string|null)} children Strings become text.
 */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** The element of the page with an id. */
export function byId(id) {
  return document.getElementById(id);
}

/** A sign of the page, for eyes alone: the word beside it says the same. */
export function sign(name, size) {
  const space = "http://www.w3.org/2000/svg";
  const drawing = document.createElementNS(space, "svg");
  const attributes = { width: size, height: size, "aria-hidden": "true", focusable: "false" };
  for (const [key, value] of Object.entries(attributes)) drawing.setAttribute(key, value);
  const use = document.createElementNS(space, "use");
  use.setAttribute("href", `#sign-${name}`);
  drawing.append(use);
  return drawing;
}

/** A number for people: at most four significant digits, with a true minus sign. */
export function figure(value) {
  if (!Number.isFinite(value)) return "?";
  const small = value !== 0 && Math.abs(value) < 1e-4;
  const text = small ? value.toExponential(1) : String(Number(value.toPrecision(4)));
  return text.replace(/-/g, "−");
}

/** A share in per cent, to two significant digits. */
export function percent(value) {
  return `${figure(Number((100 * value).toPrecision(2)))}\u202F%`;
}
