// Tokens of an answer, shaded by what the steering did to each.

import { element } from "../pages/elements.js";
import { figure, percent, t } from "../pages/language.js";

const LEVELS = 4;
const BROKEN = "\uFFFD"; // stands for a character of which a token holds a part
export const SIZE = "size";

/**
 * An answer's text in pieces, each with the tokens that spell it; the pieces joined are the text.
 * @param {string} text
 * @param {{text: ?string}[]} tokens
 */
export function aligned(text, tokens) {
  const pieces = [];
  let at = 0;
  let parts = []; // tokens that hold parts of characters
  for (const token of tokens) {
    const words = token.text ?? BROKEN;
    if (words.includes(BROKEN)) {
      parts.push(token);
      continue;
    }
    const word = at === 0 && !text.startsWith(words) ? words.trimStart() : words;
    const found = word === "" ? -1 : text.indexOf(word, at);
    if (found < 0 || found - at > 4 * (parts.length + 1)) continue; // a mark that the answer does not show
    if (found > at) pieces.push({ text: text.slice(at, found), tokens: parts });
    pieces.push({ text: word, tokens: [token] });
    at = found + word.length;
    parts = [];
  }
  if (at < text.length) pieces.push({ text: text.slice(at), tokens: parts });
  return pieces;
}

/** Attributes whose gates the tokens tell. */
export function gated(tokens) {
  return [...new Set(tokens.flatMap((token) => Object.keys(token.gates)))];
}

/** What a token is shaded by: the size of its edit, or the gate of an attribute. */
function measure(token, by) {
  return by === SIZE ? token.edit_size_ratio : token.gates[by] ?? 0;
}

/** The top of the scale: 1 for gates, for edits the largest among the tokens. */
export function top(tokens, by) {
  return by === SIZE ? Math.max(0, ...tokens.map((token) => token.edit_size_ratio)) : 1;
}

function level(value, most) {
  return value <= 0 || most <= 0 ? 0 : Math.min(LEVELS, 1 + Math.floor((LEVELS * value) / most));
}

/**
 * A shaded text.
 * @param {string} text
 * @param {object[]} tokens Of the answer.
 * @param {string} by `SIZE`, or an attribute.
 */
export function shaded(text, tokens, by) {
  const most = top(tokens, by);
  return aligned(text, tokens).map(({ text: words, tokens: spelled }) => {
    if (!spelled.length) return element("span", { class: "token unread", translate: "no", title: t("token.last") }, words);
    const value = Math.max(...spelled.map((token) => measure(token, by)));
    const shade = spelled.some((token) => token.selected) ? `shade-${level(value, most)}` : "outside";
    return element("span", { class: `token ${shade}`, translate: "no", title: told(spelled[0]) }, words);
  });
}

function told(token) {
  if (!token.selected) return t("token.outside");
  const gates = Object.entries(token.gates).map(([name, gate]) => t("token.gate", { name, gate: figure(gate) }));
  return [t("token.edit", { share: percent(token.edit_size_ratio) }), ...gates].join(", ");
}

/** What the shades mean, with their bounds. */
export function legend(tokens, by) {
  const most = top(tokens, by);
  const written = by === SIZE ? percent : figure;
  const swatch = (shade, words) => element("li", {}, element("span", { class: `token ${shade}` }, t("token")), ` ${words}`);
  const steps = most > 0 ? Array.from({ length: LEVELS }, (_, i) => [i + 1, (most * i) / LEVELS, (most * (i + 1)) / LEVELS]) : [];
  return element(
    "ul",
    { class: "legend" },
    swatch("shade-0", t("shade.none")),
    ...steps.map(([i, low, high]) => swatch(`shade-${i}`, t("shade.from", { low: written(low), high: written(high) }))),
    tokens.some((token) => !token.selected) ? swatch("outside", t("shade.outside")) : null,
  );
}

/**
 * Every token with its figures, as a table.
 * @param {object[]} prompt
 * @param {object[]} answer
 */
export function table(prompt, answer) {
  const gates = gated([...prompt, ...answer]);
  const head = [...["part", "token", "in-scope", "edit"].map((key) => t(`column.${key}`)), ...gates.map((name) => t("gate", { name }))];
  const row = (part) => (token) =>
    element(
      "tr",
      {},
      element("td", {}, t(`part.${part}`)),
      element("td", {}, element("code", { translate: "no" }, token.text === null ? String(token.token) : JSON.stringify(token.text))),
      element("td", {}, t(token.selected ? "yes" : "no")),
      element("td", { class: "number" }, percent(token.edit_size_ratio)),
      ...gates.map((name) => element("td", { class: "number" }, name in token.gates ? figure(token.gates[name]) : "–")),
    );
  return element(
    "table",
    {},
    element("thead", {}, element("tr", {}, ...head.map((words) => element("th", { scope: "col" }, words)))),
    element("tbody", {}, ...prompt.map(row("prompt")), ...answer.map(row("answer"))),
  );
}
