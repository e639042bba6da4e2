// What the check of a steering came to: a word, a sign and a colour, what it means, and what to do next.

import { badge as marked, element } from "../pages/elements.js";
import { figure, percent, said, t, word } from "../pages/language.js";

const KINDS = ["go", "caution", "no-go", "inconclusive"];

/** The name of a decision's sign and colour; decisions that the page does not know have those of no check. */
function kind(decision) {
  return KINDS.includes(decision) ? decision : "unchecked";
}

/** A decision as sign and word. */
export function badge(decision, size = 22) {
  const known = kind(decision);
  return marked(known, known === "unchecked" && decision !== null ? said(decision) : t(`decision.${known}`), size);
}

/**
 * The verdict on one attribute.
 * @param {object} attribute As the list of steerings has it.
 */
export function verdict(attribute) {
  const known = kind(attribute.decision);
  return element(
    "article",
    { class: `verdict ${known}` },
    element("h3", {}, badge(attribute.decision), " ", said(attribute.name, "span", { class: "quoted" })),
    attribute.sentence ? said(attribute.sentence, "p", { class: "sentence" }) : null,
    element("p", {}, `${t(`means.${known}`)} `, element("strong", {}, `${t("next")} `), t(`next.${known}`)),
    reservations(attribute.reservations),
    details(attribute),
  );
}

function reservations(found) {
  if (!found.length) return null;
  const notes = found.map((words) => element("li", {}, element("strong", {}, `${t("warning")} `), said(words)));
  return element("ul", { class: "notes" }, ...notes);
}

function details(attribute) {
  const figures = ["effect", "desired", "undesired", "anti_steerable", "kl"]
    .filter((name) => attribute[name])
    .map((name) => [t(`figure.${name}`), written(attribute[name]), t(`figure.${name}.about`)]);
  const list = [...figures, ...conditions(attribute)];
  if (!list.length && !attribute.reasons.length) return null;
  return element(
    "details",
    {},
    element("summary", {}, t("reasons")),
    attribute.reasons.length ? element("ul", {}, ...attribute.reasons.map((words) => said(words, "li"))) : null,
    list.length ? element("dl", { class: "facts" }, ...list.map(fact)) : null,
  );
}

function fact([name, value, meaning]) {
  return element("div", {}, element("dt", {}, name), element("dd", {}, value, meaning ? element("small", {}, meaning) : null));
}

function conditions(attribute) {
  const used = [];
  if (attribute.checked_strength !== null) used.push([t("checked.strength"), figure(attribute.checked_strength), null]);
  if (attribute.checked_scope !== null) used.push([t("checked.scope"), said(attribute.checked_scope), null]);
  if (attribute.checked_chat_template !== null) used.push([t("checked.chat"), t(attribute.checked_chat_template ? "yes" : "checked.plain"), null]);
  return used;
}

function written(measured) {
  if (measured.value === null) return element("span", {}, `${t("unmeasured")} `, measured.reason ? said(measured.reason) : t("unmeasured.why"));
  const number = measured.unit === "share" ? percent : figure;
  const bounds = measured.low === null || measured.high === null ? "" : ` [${number(measured.low)}, ${number(measured.high)}]`;
  const parts = [said(`${number(measured.value)}${bounds}`)];
  if (measured.unit && measured.unit !== "share") parts.push(" ", said(word("unit", measured.unit)));
  if (measured.n !== null) parts.push(`, ${t("sample", { n: measured.n })}`);
  return element("span", {}, ...parts);
}
