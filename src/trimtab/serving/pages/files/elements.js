// Elements made of texts, never of markup: whatever a model or an artifact says stays text.

const SVG = "http://www.w3.org/2000/svg";

/**
 * An element.
 * @param {string} tag
 * @param {Object<string, unknown>} attributes Those that are null, undefined or false are left out; true sets them bare.
 * @param {...(Node|string|null)} children Strings become text.
 */
export function element(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** An element of a drawing. */
export function drawn(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(made, attributes, children) {
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

const SHAPES = {
  go: [["circle", { cx: 12, cy: 12, r: 10.5, class: "shape" }], ["path", { d: "M6.5 12.5l3.7 3.8 7.3-8.1", class: "sign" }]],
  caution: [["path", { d: "M12 2 23 21.5H1z", class: "shape" }], ["path", { d: "M12 9v6M12 17.6v1.6", class: "sign" }]],
  "no-go": [
    ["path", { d: "M7.6 1.5h8.8l6.1 6.1v8.8l-6.1 6.1H7.6l-6.1-6.1V7.6z", class: "shape" }],
    ["path", { d: "M8 8l8 8M16 8l-8 8", class: "sign" }],
  ],
  inconclusive: [
    ["rect", { x: 2, y: 2, width: 20, height: 20, rx: 3, class: "shape" }],
    ["path", { d: "M9.3 9.6a2.7 2.7 0 1 1 4 2.4c-.9.5-1.3 1-1.3 2M12 16.2v1.4", class: "sign" }],
  ],
  unchecked: [["circle", { cx: 12, cy: 12, r: 9.5, class: "hollow" }], ["path", { d: "M7.5 12h9", class: "hollow" }]],
};

/** A sign, for eyes alone: the word beside it says the same. */
export function sign(name, size) {
  const frame = { viewBox: "0 0 24 24", width: size, height: size, "aria-hidden": "true", focusable: "false" };
  return drawn("svg", frame, ...SHAPES[name].map(([tag, attributes]) => drawn(tag, attributes)));
}

/** A word with a sign and a colour. @param {string} kind One of the signs. */
export function badge(kind, words, size = 22) {
  return element("span", { class: `badge ${kind}` }, sign(kind, size), words);
}
