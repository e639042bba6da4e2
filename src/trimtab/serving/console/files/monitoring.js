// What the server sees of its steerings: alarms, canaries, shadow, drift; and the audit's last entries.

import { badge, element } from "../pages/elements.js";
import { figure, listed, percent, said, t, word } from "../pages/language.js";
import { since } from "./releases.js";
import { table } from "./tables.js";

const CANARY = { "as checked": "go", "worse than checked": "no-go", inconclusive: "inconclusive" };

/** All of it. @param {object} seen The answer of `/v1/monitoring`. */
export function monitored(seen) {
  const watched = seen.steerings.filter((one) => one.shadow || one.drift.length);
  if (!seen.canaries.length && !watched.length && !seen.alarms.length) return [element("p", { class: "quiet" }, t("monitoring.none"))];
  return [
    element("h3", {}, t("alarms")),
    seen.alarms.length ? alarms(seen.alarms) : element("p", {}, badge("go", t("alarms.none"), 16)),
    ...(seen.canaries.length ? [element("h3", {}, t("canaries")), canaries(seen.canaries)] : []),
    ...(watched.some((one) => one.shadow) ? [element("h3", {}, t("shadow")), shadows(watched.filter((one) => one.shadow))] : []),
    ...(watched.some((one) => one.drift.length) ? [element("h3", {}, t("drift")), drift(watched)] : []),
  ];
}

function steering(one) {
  const strengths = Object.entries(one.strength).map(([name, value]) => `${name} ${figure(value)}`);
  const of = one.releases.length ? element("small", { class: "role" }, t("monitoring.of", { releases: listed(one.releases) })) : null;
  return [said(`${one.steering} (${listed(strengths)}; ${one.scope})`), ...(of ? [of] : [])];
}

function alarms(found) {
  const rows = found.toReversed().map((one) => [
    [badge("caution", word("alarm", one.kind), 16)],
    steering({ strength: {}, releases: [], scope: "", steering: "", ...one.figures }),
    [element("span", {}, word("alarm.means", one.kind)), " ", said(one.reason, "small", { lang: "en" })],
    since(one.time),
  ]);
  return table(t("alarms.caption"), ["alarm", "steering", "means", "when"].map((key) => t(`column.${key}`)), rows);
}

function ends(figured, written = figure) {
  if (figured.value === null) return t("unknown");
  const bounds = figured.low === null || figured.high === null ? "" : ` ${t("interval", { low: written(figured.low), high: written(figured.high) })}`;
  return `${written(figured.value)}${bounds}`;
}

function actsOn(run) {
  if (run.acts === null) return [];
  const then = run.acts_then === null ? percent(1) : percent(run.acts_then.value);
  return [element("br"), t("canary.acts", { figure: ends(run.acts, (value) => percent(value)), then })];
}

function canaries(found) {
  const rows = found.map((one) => [
    steering(one),
    said(one.check),
    one.run
      ? [badge(CANARY[one.run.verdict] ?? "unchecked", word("canary", one.run.verdict), 16), element("p", { class: "quiet" }, word("canary.means", one.run.verdict))]
      : [badge("caution", t("canary.failed"), 16), " ", said(one.fault ?? "", "small", { lang: "en" })],
    one.run ? [t("canary.effect", { figure: ends(one.run.effect) }), element("br"), t("canary.wrong", { figure: ends(one.run.anti_steerable, (value) => percent(value)), n: one.run.n }), ...actsOn(one.run)] : t("unknown"),
    since(one.time),
  ]);
  return table(t("canaries.caption"), ["steering", "check", "state", "figures", "when"].map((key) => t(`column.${key}`)), rows);
}

function shadows(found) {
  const rows = found.map((one) => [steering(one), ends(one.shadow.kl), ends(one.shadow.random_kl), figure(one.shadow.n)]);
  return table(t("shadow.caption"), ["steering", "kl", "random-kl", "answers"].map((key) => t(`column.${key}`)), rows);
}

function drift(found) {
  const rows = found.flatMap((one) =>
    one.drift.map((of) => [
      steering(one),
      said(of.figure),
      word("reference", of.reference),
      of.p_value === null && of.stability_index === null ? badge("unchecked", t("drift.early"), 16) : badge(of.alarm ? "no-go" : "go", t(of.alarm ? "drift.moved" : "drift.still"), 16),
      [of.stability_index === null ? t("unknown") : figure(Number(of.stability_index.toPrecision(2))), " ", element("small", {}, t("drift.n", { n: of.n }))],
    ]),
  );
  return table(t("drift.caption"), ["steering", "figure", "reference", "state", "index"].map((key) => t(`column.${key}`)), rows);
}

/** The audit's last entries. @param {object[]} entries */
export function audited(entries) {
  if (!entries.length) return [element("p", { class: "quiet" }, t("audit.none"))];
  const rows = entries.map((one) => [
    element("span", {}, ...since(one.time)),
    said(one.who),
    [word("what", one.what), " ", said(one.subject)],
    one.why ? said(one.why) : "–",
  ]);
  return [table(t("audit.caption"), ["when", "who", "what", "why"].map((key) => t(`column.${key}`)), rows)];
}
