// The list of releases: model, state, stage, share, arms, age.

import { badge, element } from "../pages/elements.js";
import { ago, figure, listed, moment, percent, said, t, word } from "../pages/language.js";
import { kindOfRelease } from "./meanings.js";
import { armName, isSeveral } from "./several.js";
import { table } from "./tables.js";

/**
 * The list.
 * @param {object} found The answer of `/v1/releases`.
 * @param {?string} chosen
 * @param {(name: string) => void} choose
 */
export function releaseList(found, chosen, choose) {
  if (!found.data.length) return [element("p", { class: "quiet" }, t("releases.none")), element("p", { class: "quiet" }, said("trimtab release create", "code"))];
  const head = ["release", "model", "state", "stage", "arms", "since"].map((key) => t(`column.${key}`));
  const rows = found.data.toReversed().map((one) => [
    opener(one, chosen, choose),
    said(one.model),
    state(one),
    stage(one),
    arms(one.definition),
    since(one.time),
  ]);
  return [table(t("releases.caption", { n: rows.length }), head, rows)];
}

function opener(one, chosen, choose) {
  const button = element("button", { type: "button", class: "open", "aria-current": one.name === chosen ? "true" : null, "data-release": one.name }, said(one.name));
  button.addEventListener("click", () => choose(one.name));
  return button;
}

/** The state of a release as a sign and a word. */
export function state(one) {
  const fault = one.fault ? element("p", { class: "warning" }, t("release.fault"), " ", said(one.fault, "span", { lang: "en" })) : null;
  return [badge(kindOfRelease(one.state), word("state", one.state), 16), ...(fault ? [fault] : [])];
}

/** The share that treatment has, and which of the stages that is; of several arms, what those beside control have. */
export function stage(one) {
  const stages = one.definition.stages ?? [];
  const at = stages.indexOf(one.share);
  const share = percent(one.share / 100, 4);
  const asked = one.asked_by ? t("stage.asked", { who: one.asked_by }) : null;
  const words = isSeveral(one.definition) ? t("stage.several", { share }) : at < 0 ? share : t("stage.of", { share, i: at + 1, of: stages.length });
  const meant = one.epoch?.asked_for ? ` (${armName(one.epoch.asked_for)})` : ""; // the arm that the second person agrees to
  return asked ? `${words}; ${asked}${meant}` : words;
}

/** What either arm, or each of several, is answered with. */
export function arms(definition) {
  const beside = isSeveral(definition) ? Object.entries(definition.arms) : [["treatment", definition.treatment]];
  return [...beside, ["control", definition.control]].map(([name, arm]) =>
    element("span", { class: "arm" }, element("span", { class: "quiet" }, said(armName(name)), ": "), arm ? said(steering(arm)) : t("arm.unsteered")),
  );
}

function steering(arm) {
  const strengths = Object.entries(arm.strength ?? {}).map(([name, value]) => `${name} ${figure(value)}`);
  return strengths.length ? `${arm.name ?? ""} (${listed(strengths)})` : arm.name ?? "";
}

/** A time and how long ago it was. */
export function since(time) {
  return [moment(time), " ", element("small", {}, element("time", { "data-ago": time }, ago(time)))];
}
