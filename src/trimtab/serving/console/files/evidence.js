// What an experiment rests on: metrics with their margins, shares of the arms, feedback.

import { badge, element } from "../pages/elements.js";
import { figure, percent, said, t, word } from "../pages/language.js";
import { kindOf, meaning } from "./meanings.js";
import { armName, isSeveral } from "./several.js";
import { table } from "./tables.js";
import { difference, interval, unitOf, valued } from "./units.js";

const count = (n) => figure(n, { maximumSignificantDigits: 12 });

/** The metrics, the one that the release is judged by first. @param {object} look @param {object} definition */
export function metrics(look, definition) {
  const several = isSeveral(definition);
  if (!look.findings.length) return element("p", { class: "quiet" }, t(several ? "guardrails.none" : "verdict.unjudged.sentence"));
  const head = ["metric", "state", "difference", "margin", "arms-values", "action"].map((key) => t(`column.${key}`));
  const rows = look.findings.map((one) => {
    const unit = unitOf(one.metric, definition);
    return [
      [said(one.metric), element("small", { class: "role" }, several ? armName(one.arm) : t(`role.${one.role}`))],
      [badge(kindOf(one.state), word("metric-state", one.state), 16), element("p", { class: "quiet" }, meaning(one, definition))],
      [difference(one.difference, unit), element("br"), element("small", {}, interval(one.low, one.high, unit)), ...(one.variance_removed === null ? [] : [element("br"), element("small", {}, t("variance-removed", { share: percent(one.variance_removed, 3) }))])],
      difference(one.margin, unit, false),
      [t("values", { treatment: valued(one.treatment, unit), control: valued(one.control, unit) }), element("br"), element("small", {}, t("values.units", { treatment: count(one.units[1]), control: count(one.units[0]) }))],
      definition.adapt ? t("on-harm.excluded") : word("on-harm", one.action),
    ];
  });
  const scorers = Object.entries(look.scored_by ?? {}).map(([metric, who]) => element("li", {}, t("scored-by", { metric, who })));
  const shown = table(t(several ? "metrics.caption.several" : "metrics.caption"), head, rows);
  return scorers.length ? element("div", {}, shown, element("ul", { class: "quiet" }, ...scorers)) : shown;
}

/** Whether the arms get their shares. @param {object} look @param {object} definition */
export function shares(look, definition) {
  const { mismatch, stages } = look.sample_ratio;
  if (!stages.length) return element("p", { class: "quiet" }, t("shares.none"));
  const seen = stages.map(([share, control, treatment]) =>
    element("li", {}, t(isSeveral(definition) ? "shares.epoch" : "shares.stage", { share: percent(share / 100, 4), got: percent(treatment / (control + treatment), 3), units: count(control + treatment) })),
  );
  const verdict = badge(mismatch ? "no-go" : "go", t(mismatch ? "shares.broken" : "shares.kept"), 16);
  return [element("p", {}, verdict, " ", t(mismatch ? "shares.broken.next" : "shares.kept.next")), element("ul", {}, ...seen)];
}

/** How much feedback there is. @param {object[]} counts */
export function feedback(counts) {
  if (!counts.length) return element("p", { class: "quiet" }, t("feedback.none"));
  const arms = [...new Set(counts.map((one) => one.arm))];
  const groups = new Map();
  for (const one of counts) {
    const key = JSON.stringify([one.metric, one.source, one.label, one.by]);
    groups.set(key, { ...(groups.get(key) ?? {}), [one.arm]: one });
  }
  const rows = [...groups].map(([key, by]) => {
    const [metric, source, label, who] = JSON.parse(key);
    const cell = (one) => (one ? (one.mean === null ? count(one.requests) : t("feedback.mean", { n: one.requests, mean: figure(one.mean) })) : count(0));
    return [[said(metric), " ", element("small", {}, word("source", source), who ? ` (${who})` : "")], label === null ? t("feedback.score") : said(label), ...arms.map((arm) => cell(by[arm]))];
  });
  return table(t("feedback.caption"), [t("column.metric"), t("column.said"), ...arms.map((arm) => armName(arm))], rows);
}
