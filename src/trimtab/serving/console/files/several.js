// Releases with several arms: those that adapt their shares, and factorial ones, which tell attributes apart.

import { element } from "../pages/elements.js";
import { figure, listed, percent, said, t, word } from "../pages/language.js";
import { table } from "./tables.js";
import { difference, interval, unitOf, valued } from "./units.js";

const SURE = 0.95; // chance of being the best from which an arm leads clearly

/** Whether a release has more arms than treatment and control. @param {object} definition */
export function isSeveral(definition) {
  return Object.keys(definition.arms ?? {}).length > 0;
}

/** The name of an arm; control in the page's language. */
export function armName(name) {
  return name === "control" || name === "treatment" ? word("arm", name) : name; // others are called what people called them
}

/**
 * What such a release says while it runs, in one sentence, and the next step.
 * @param {object} status Of `/v1/releases/NAME`. @param {object} look Of `…/experiment`.
 * @returns {{kind: string, word: string, sentence: string, next: string}}
 */
export function standing(status, look) {
  return status.definition.adapt ? adapting(look) : factorial(status, look);
}

function adapting(look) {
  const out = look.arms.filter((one) => one.excluded !== null).map((one) => armName(one.arm));
  const [lead] = look.arms.filter((one) => one.excluded === null).toSorted((a, b) => b.best - a.best);
  const words = [t("adapt.leads", { arm: armName(lead.arm), share: percent(lead.share), best: chance(lead.best) })];
  if (out.length) words.push(t("adapt.excluded", { arms: listed(out) }));
  const clear = lead.best >= SURE;
  return {
    kind: out.length ? "caution" : clear ? "go" : "inconclusive", word: t("verdict.adapting"), sentence: words.join(" "),
    next: clear ? t("next.keep", { arm: armName(lead.arm) }) : t("next.adapt"),
  };
}

function factorial(status, look) {
  const shown = look.effects.filter((one) => one.shown);
  const moves = shown.map((one) => t("factorial.moves", { attributes: together(one), metric: one.metric, size: difference(one.difference, unitOf(one.metric, status.definition)) }));
  return {
    kind: shown.length ? "go" : "inconclusive", word: t("verdict.factorial"),
    sentence: moves.length ? moves.join(" ") : t("factorial.none"), next: t(moves.length ? "next.factorial" : "next.factorial-open"),
  };
}

/** A chance to whole per cents; what is believed is not known better. */
function chance(value) {
  const whole = Math.min(0.99, Math.max(0.01, Math.round(100 * value) / 100));
  return `${value < 0.01 ? "<" : value > 0.99 ? ">" : ""}${percent(whole)}`;
}

function together(effect) {
  return effect.attributes.join(" × ");
}

/** How every arm does. @param {object} look @param {object} definition */
export function standings(look, definition) {
  const unit = unitOf(definition.metric, definition);
  const head = ["arm", "share", "visits", "value", ...(definition.adapt ? ["best"] : [])].map((key) => t(`column.${key}`));
  const rows = look.arms.map((one) => [
    [said(armName(one.arm)), one.excluded === null ? null : element("p", { class: "warning" }, t("arm.excluded"), " ", said(one.excluded, "span", { lang: "en" }))],
    percent(one.share, 3),
    figure(one.visits, { maximumSignificantDigits: 12 }),
    [valued(one.mean, unit), element("br"), element("small", {}, interval(one.low, one.high, unit, false))],
    ...(definition.adapt ? [chance(one.best)] : []),
  ]);
  return table(t("standings.caption", { metric: definition.metric }), head, rows);
}

/** What each attribute moves, and each pair of them; null where the release does not tell them apart. @param {object} look @param {object} definition */
export function effects(look, definition) {
  if (!look.effects.length) return null;
  const head = ["attribute", "metric", "moves", "shown"].map((key) => t(`column.${key}`));
  const rows = look.effects.map((one) => {
    const unit = unitOf(one.metric, definition);
    return [said(together(one)), said(one.metric), [difference(one.difference, unit), element("br"), element("small", {}, interval(one.low, one.high, unit))], t(one.shown ? "effect.shown" : "effect.open")];
  });
  return [table(t("effects.caption"), head, rows), element("p", { class: "quiet" }, t("effects.pairs"))];
}
