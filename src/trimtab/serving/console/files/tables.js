// Tables that become lists on a narrow window, each figure with the name of its column.

import { element } from "../pages/elements.js";

/**
 * A table.
 * @param {string} caption
 * @param {string[]} head Names of the columns.
 * @param {(Node|string|null)[][]} rows Their cells; the first of each is its heading.
 */
export function table(caption, head, rows) {
  const cell = (content, i) =>
    i === 0 ? element("th", { scope: "row" }, ...[content].flat()) : element("td", { "data-label": head[i] }, ...[content].flat());
  return element(
    "table",
    { class: "bounds" },
    element("caption", {}, caption),
    element("thead", {}, element("tr", {}, ...head.map((words) => element("th", { scope: "col" }, words)))),
    element("tbody", {}, ...rows.map((cells) => element("tr", {}, ...cells.map(cell)))),
  );
}
