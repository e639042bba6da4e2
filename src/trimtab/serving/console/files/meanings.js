// What the state of a release means, and what to do next: one sentence each, from figures alone.

import { has, t, word } from "../pages/language.js";
import { isSeveral, standing } from "./several.js";
import { difference, unitOf } from "./units.js";

const KINDS = { better: "go", "no harm shown": "go", inconclusive: "inconclusive", worse: "no-go" };

/** The sign of a metric's state. */
export function kindOf(state) {
  return KINDS[state] ?? "unchecked";
}

/** The sign of a release's state. */
export function kindOfRelease(state) {
  return { running: "go", paused: "caution", "rolled-back": "no-go", finished: "go", "dry-run": "inconclusive" }[state] ?? "unchecked";
}

/** What a metric's figures mean. @param {object} finding @param {object} definition Of the release. */
export function meaning(finding, definition) {
  const unit = unitOf(finding.metric, definition);
  const size = finding.difference === null ? t("unknown") : difference(Math.abs(finding.difference), unit, false);
  const [margin, effect] = [finding.margin, finding.effect].map((value) => difference(value, unit, false));
  const values = { size, margin, effect };
  if (finding.state === "worse") return t(finding.harm ? "means.worse" : "means.worse-alone", values);
  if (finding.state === "better") return t(finding.effect ? "means.better-effect" : "means.better", values);
  if (finding.state === "no harm shown") return t("means.no-harm", values);
  return t(finding.low === null && finding.high === null ? "means.early" : "means.open", values);
}

/**
 * The release in one sentence, and the next step.
 * @param {object} status Of `/v1/releases/NAME`. @param {?object} look Of `…/experiment`. @param {object[]} steps Its history.
 * @returns {{kind: string, word: string, sentence: string, next: string, why: ?string}}
 */
export function summary(status, look, steps) {
  const why = steps.at(-1)?.why || null;
  if (status.state !== "running") {
    const known = has(`state.${status.state}.sentence`);
    const figures = status.state === "paused" && look?.findings.some((one) => one.harm);
    return {
      kind: kindOfRelease(status.state), word: word("state", status.state), why,
      sentence: known ? t(`state.${status.state}.sentence`) : t("state.other.sentence"),
      next: figures ? t("next.paused-harm") : known ? t(`state.${status.state}.next`) : t("state.other.next"),
    };
  }
  return { ...running(status, look), why: null };
}

function running(status, look) {
  const several = isSeveral(status.definition);
  if (!look || (!look.findings.length && !several)) return { kind: "unchecked", word: t("verdict.unjudged"), sentence: t("verdict.unjudged.sentence"), next: t("verdict.unjudged.next") };
  if (look.sample_ratio.mismatch) return { kind: "no-go", word: t("verdict.shares"), sentence: t("verdict.shares.sentence"), next: t("verdict.shares.next") };
  const harmed = look.findings.filter((one) => one.state === "worse");
  if (several && !(status.definition.factors.length && harmed.some((one) => one.harm))) return standing(status, look);
  const judged = harmed.find((one) => one.harm) ?? harmed[0] ?? look.findings[0];
  const sentence = t("verdict.of", { metric: judged.metric, sentence: meaning(judged, status.definition) });
  return { kind: kindOf(judged.state), word: word("metric-state", judged.state), sentence, next: next(judged, status, look) };
}

function next(finding, status, look) {
  if (finding.state === "worse") {
    if (!look.decision) return t("next.worse-alone");
    return t(look.decision.action === "rollback" ? "next.harm-rollback" : "next.harm-pause");
  }
  const more = status.definition.stages?.some((stage) => stage > status.share);
  const open = look.findings.filter((one) => one.state === "inconclusive" && one !== finding).map((one) => one.metric);
  if (finding.state === "inconclusive") return t("next.inconclusive");
  if (open.length) return t("next.guardrails-open", { metrics: open.join(", ") });
  if (finding.state === "no harm shown" && finding.role === "primary") return t(more ? "next.no-harm" : "next.no-harm-whole");
  return t(more ? "next.promote" : "next.finish");
}
