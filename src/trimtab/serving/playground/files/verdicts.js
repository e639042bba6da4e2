// What the check of a steering came to: a word, a sign and a colour, what it means, and what to do next.

import { element, figure, percent, sign } from "./elements.js";

const MEANINGS = {
  go: ["Steering held on examples that it was not made from.", "Keep to the strength and scope of the check, and watch live answers."],
  caution: ["Steering held on examples that it was not made from, with the reservations below.", "Try the cases that the reservations name before you rely on it."],
  "no-go": ["Steering failed a requirement on examples that it was not made from.", "Do not put it to use. Change the strength, the site or the examples, and check again."],
  inconclusive: ["The check could not tell whether steering holds.", "Do as the reasons say, most often: check on more examples. Until then rely on nothing."],
  unchecked: ["Nobody knows whether this steering holds, how often it backfires, or what it costs.", "Check it: trimtab check BEHAVIOR --steering FOLDER, or fit it without --no-check."],
};

/** The name of a decision's sign and colour; decisions that the page does not know have those of no check. */
function kind(decision) {
  return Object.hasOwn(MEANINGS, decision ?? "") ? decision : "unchecked";
}

/** A decision as sign and word. */
export function badge(decision, size = 22) {
  const known = kind(decision);
  return element("span", { class: `badge ${known}` }, sign(known, size), decision ?? "not checked");
}

/**
 * The verdict on one attribute.
 * @param {object} attribute As the list of steerings has it.
 */
export function verdict(attribute) {
  const [meaning, next] = MEANINGS[kind(attribute.decision)];
  return element(
    "article",
    { class: `verdict ${kind(attribute.decision)}` },
    element("h3", {}, badge(attribute.decision), " ", element("span", { class: "quoted", dir: "auto" }, attribute.name)),
    attribute.sentence ? element("p", { class: "sentence", dir: "auto" }, attribute.sentence) : null,
    element("p", {}, `${meaning} `, element("strong", {}, "Next: "), next),
    reservations(attribute.reservations),
    details(attribute),
  );
}

function reservations(found) {
  if (!found.length) return null;
  const notes = found.map((words) => element("li", { dir: "auto" }, element("strong", {}, "Warning: "), words));
  return element("ul", { class: "notes" }, ...notes);
}

function details(attribute) {
  const figures = [
    ["Mean effect Δ", "above 0 is the intended direction", attribute.effect],
    ["Δ+ of desired answers", "how much likelier they become", attribute.desired],
    ["Δ− of undesired answers", "how much likelier they become", attribute.undesired],
    ["Anti-steerable", "share of examples moved the wrong way", attribute.anti_steerable],
    ["Side effect (KL)", "on text that has nothing to do with it", attribute.kl],
  ].filter(([, , measured]) => measured);
  const used = conditions(attribute);
  if (!figures.length && !attribute.reasons.length && !used.length) return null;
  const list = [...figures.map(([name, meaning, measured]) => [name, written(measured), meaning]), ...used];
  return element(
    "details",
    {},
    element("summary", {}, "Reasons and figures"),
    attribute.reasons.length ? element("ul", {}, ...attribute.reasons.map((words) => element("li", { dir: "auto" }, words))) : null,
    list.length ? element("dl", { class: "facts" }, ...list.map(fact)) : null,
  );
}

function fact([name, value, meaning]) {
  return element("div", {}, element("dt", {}, name), element("dd", {}, value, meaning ? element("small", {}, meaning) : null));
}

function conditions(attribute) {
  const used = [];
  if (attribute.checked_strength !== null) used.push(["Checked at strength", figure(attribute.checked_strength), null]);
  if (attribute.checked_scope !== null) used.push(["Checked on tokens", attribute.checked_scope, null]);
  if (attribute.checked_chat_template !== null) {
    used.push(["Checked in a chat", attribute.checked_chat_template ? "yes" : "no: on plain text", null]);
  }
  return used;
}

function written(measured) {
  if (measured.value === null) return `not measured: ${measured.reason ?? "no reason was recorded"}`;
  const number = measured.unit === "share" ? percent : figure;
  const unit = measured.unit && measured.unit !== "share" ? ` ${measured.unit}` : "";
  const bounds = measured.low === null || measured.high === null ? "" : ` [${number(measured.low)}, ${number(measured.high)}]`;
  return `${number(measured.value)}${bounds}${unit}${measured.n === null ? "" : `, n = ${measured.n}`}`;
}
