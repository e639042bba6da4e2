// What can be done with a release, and the dialog that asks for a typed confirmation and a reason first.

import { byId, element } from "../pages/elements.js";
import { parts, percent, said, t } from "../pages/language.js";
import { armName, isSeveral } from "./several.js";

const ALLOWED = {
  draft: ["start", "dry-run", "rollback"],
  "dry-run": ["start", "rollback"],
  running: ["promote", "pause", "rollback", "finish"],
  paused: ["resume", "rollback", "finish"],
  finished: ["rollback"],
  "rolled-back": [],
};
const GRAVE = ["rollback", "off"];

/** The steps that a state allows, as buttons; none without the right to act. */
export function buttons(status, how) {
  const allowed = ALLOWED[status.state];
  if (!how.may) return null;
  if (!allowed) return element("p", { class: "note" }, t("state.other.next"));
  const next = isSeveral(status.definition) ? undefined : status.definition.stages?.find((stage) => stage > status.share);
  const offered = allowed.filter((action) => action !== "promote" || next !== undefined);
  const made = offered.map((action) => {
    const button = element("button", { type: "button", class: GRAVE.includes(action) ? "grave" : null, "data-action": action }, t(`act.${action}`));
    button.addEventListener("click", () => how.act(action));
    return button;
  });
  return made.length ? element("div", { class: "row", role: "group", "aria-label": t("actions") }, ...made) : null;
}

/** What an action does, in a sentence. */
export function explained(action, status) {
  if (isSeveral(status.definition) && ["start", "resume"].includes(action)) return t(`act.${action}.does.several`);
  const next = status.definition.stages?.find((stage) => stage > (action === "promote" ? status.share : 0)) ?? 100;
  return t(`act.${action}.does`, { share: percent((action === "resume" ? status.share : next) / 100, 4) });
}

/** The arms of which one is kept at the end, with what they are called. @param {object} definition */
export function keepable(definition) {
  if (!isSeveral(definition)) return [["treatment", t("keep.treatment")], ["control", t("keep.control")]];
  return [...Object.keys(definition.arms), "control"].map((name) => [name, armName(name)]);
}

/**
 * Asks for a typed confirmation; gives the reason and the choice, or null where nothing is to be done.
 * @param {{action: string, word: string, does: string, keeps: string[][]}} asked `keeps`: see `keepable`; empty where nothing is kept.
 * @returns {Promise<?{why: string, keep: string}>}
 */
export function confirmed({ action, word, does, keeps = [] }) {
  const dialog = byId("confirm");
  const typed = element("input", { id: "typed", type: "text", autocomplete: "off", spellcheck: "false", autocapitalize: "off", "aria-describedby": "typed-fault" });
  const why = element("textarea", { id: "why", rows: "2", maxlength: "2000" });
  const keep = element("select", { id: "keep" }, ...keeps.map(([arm, words]) => element("option", { value: arm }, words)));
  const fault = element("p", { id: "typed-fault", class: "warning", role: "alert" });
  const [yes, no] = [element("button", { type: "submit", class: GRAVE.includes(action) ? "grave" : "primary" }, t(`act.${action}`)), element("button", { type: "button" }, t("cancel"))];
  const form = element(
    "form",
    { method: "dialog", novalidate: true },
    element("h2", { id: "confirm-heading" }, t(`act.${action}`), " ", said(word)),
    element("p", {}, does),
    ...(keeps.length ? [element("label", { for: "keep" }, t("keep")), keep] : []),
    element("label", { for: "why" }, t("why")),
    why,
    element("label", { for: "typed" }, ...parts("typed", { word: said(word, "code") })),
    typed,
    fault,
    element("div", { class: "row" }, yes, no),
  );
  dialog.replaceChildren(form);
  return new Promise((done) => {
    const end = (result) => (dialog.close(), done(result));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (typed.value.trim() === word) return end({ why: why.value.trim(), keep: keep.value });
      typed.setAttribute("aria-invalid", "true");
      fault.textContent = t("typed.wrong");
      typed.focus();
    });
    no.addEventListener("click", () => end(null));
    dialog.addEventListener("cancel", () => done(null), { once: true });
    dialog.showModal();
    (keeps.length ? keep : why).focus();
  });
}
