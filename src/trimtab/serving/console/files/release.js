// One release: what its state means, what to do, its figures, and how it came there.

import { badge, element } from "../pages/elements.js";
import { figure, has, percent, said, t, word } from "../pages/language.js";
import { buttons } from "./actions.js";
import { chart } from "./chart.js";
import { courses } from "./courses.js";
import { feedback, metrics, shares } from "./evidence.js";
import { summary } from "./meanings.js";
import { arms, since, stage } from "./releases.js";
import { armName, effects, isSeveral, standings } from "./several.js";
import { table } from "./tables.js";
import { unitOf } from "./units.js";

/**
 * All of a release.
 * @param {object} detail `status`, `experiment`, `steps`, `series` and `feedback`, those that could not be read as errors.
 * @param {{may: boolean, act: (action: string) => void, metric: ?string, measure: (metric: string) => void}} how
 */
export function release(detail, how) {
  const { status, experiment, steps } = detail;
  const look = experiment instanceof Error ? null : experiment;
  return [
    card(summary(status, look, steps instanceof Error ? [] : steps), status, look, how),
    facts(status, look),
    ...(isSeveral(status.definition) ? several(detail, look, how) : part("series.heading", course(detail, how))),
    ...part(isSeveral(status.definition) ? "guardrails.heading" : "metrics.heading", look ? metrics(look, status.definition) : broken(experiment)),
    ...part("shares.heading", look ? shares(look, status.definition) : null),
    ...part("feedback.heading", detail.feedback instanceof Error ? broken(detail.feedback) : feedback(detail.feedback.data)),
    ...part("history.heading", steps instanceof Error ? broken(steps) : history(steps)),
  ];
}

/** How arms do, how that came about, and what attributes move. */
function several(detail, look, how) {
  const { definition } = detail.status;
  const over = part("courses.heading", course(detail, how));
  if (look === null) return [...part("standings.heading", broken(detail.experiment)), ...over];
  return [...part("standings.heading", standings(look, definition)), ...over, ...part("effects.heading", effects(look, definition))];
}

function part(heading, content) {
  return content === null ? [] : [element("h3", {}, t(heading)), ...[content].flat()];
}

function broken(error) {
  return element("p", { class: "note" }, t("part.broken"), " ", said(error.message, "span", { lang: "en" }));
}

function card(found, status, look, how) {
  const due = look?.decision ? element("p", { class: "warning" }, t(has(`decision.${look.decision.action}`) ? `decision.${look.decision.action}` : "decision.other")) : null;
  return element(
    "article",
    { class: `verdict ${found.kind}` },
    element("h3", {}, badge(found.kind, found.word)),
    element("p", { class: "sentence" }, found.sentence),
    found.why ? element("p", {}, t("why.last"), " ", said(found.why, "q")) : null,
    due,
    element("p", { class: "next" }, element("strong", {}, t("next")), " ", found.next),
    status.fault ? element("p", { class: "warning" }, t("release.fault"), " ", said(status.fault, "span", { lang: "en" })) : null,
    buttons(status, how),
  );
}

function facts(status, look) {
  const counted = (arm) => status.exposures.filter((one) => one.arm === arm);
  const sum = (rows, field) => figure(rows.reduce((n, one) => n + one[field], 0), { maximumSignificantDigits: 12 });
  const exposed = [...new Set(status.exposures.map((one) => one.arm))].map((arm) =>
    element("span", { class: "arm" }, t("exposed", { arm: armName(arm), requests: sum(counted(arm), "requests"), units: sum(counted(arm), "units") })),
  );
  const fact = (name, ...value) => element("div", {}, element("dt", {}, t(name)), element("dd", {}, ...value));
  return element(
    "dl",
    { class: "facts" },
    fact("column.stage", stage(status)),
    fact("column.arms", ...arms(status.definition)),
    fact("exposures", ...(exposed.length ? exposed : [t("exposed.none")])),
    fact("column.since", ...since(status.time)),
    look && look.alpha ? fact("alpha", t("alpha.of", { share: percent(look.alpha) })) : element("div", {}),
  );
}

function course(detail, how) {
  const { status, experiment, series } = detail;
  if (series === null) return element("p", { class: "quiet" }, t("verdict.unjudged.sentence"));
  if (series instanceof Error) return broken(series);
  const findings = experiment instanceof Error ? [] : experiment.findings;
  const of = findings.find((one) => one.metric === series.metric) ?? { margin: 0, effect: 0 };
  const unit = unitOf(series.metric, status.definition);
  const { metric, plan } = status.definition;
  const names = isSeveral(status.definition) ? [metric, ...plan.guardrails.map((rail) => rail.metric)] : findings.map((one) => one.metric);
  const choice = element("select", { id: "metric" }, ...names.map((name) => element("option", { value: name, translate: "no" }, name)));
  choice.value = series.metric;
  choice.addEventListener("change", () => how.measure(choice.value));
  const label = element("p", { class: "choose" }, element("label", { for: "metric" }, t("series.metric")), " ", choice);
  const about = series.description ? said(series.description, "p", { class: "quiet", lang: "en" }) : null;
  const drawing = isSeveral(status.definition) ? courses(series, unit) : [chart(series, { unit, margin: of.margin, effect: of.effect })];
  return [label, about, series.dry_run ? element("p", { class: "note" }, t("series.dry")) : null, ...drawing].filter(Boolean);
}

function history(steps) {
  const head = ["column.when", "column.what", "column.who", "column.stage", "column.why"].map((key) => t(key));
  const rows = steps.toReversed().map((step) => [
    element("span", {}, ...since(step.time)),
    word("what", step.what),
    said(step.by),
    percent(step.share / 100, 4),
    step.why ? said(step.why) : "–",
  ]);
  return table(t("history.caption"), head, rows);
}
