// One turn of the conversation: what was said, and the answers to it beside each other.

import { element } from "../pages/elements.js";
import { figure, has, listed, percent, said, t } from "../pages/language.js";
import { gated, legend, shaded, SIZE, table } from "./tokens.js";

/** A turn on the page. */
export class Exchange {
  /**
   * @param {string} message
   * @param {number} number Of the turn.
   * @param {object} request Its body.
   */
  constructor(message, number, request) {
    this.message = message;
    this.number = number;
    this.request = request;
    this.answer = null;
    this.note = undefined; // why it ended; undefined while it is answered
    this.by = SIZE;
    this.element = element("li", { class: "exchange" });
    this.label();
  }

  /** Builds the turn, in the language that the page speaks now. */
  label() {
    const { steering } = this.request;
    this.steered = column(steering ? t("column.steered", { strengths: asked(steering) }) : t("column.model"), "steered");
    this.unsteered = steering?.compare ? column(t("column.unsteered"), "unsteered") : null;
    this.below = element("div", { class: "below" });
    this.element.replaceChildren(
      element("h3", {}, t("turn", { n: this.number })),
      element("div", { class: "said" }, element("h4", {}, t("you")), said(this.message, "p", { class: "quoted" })),
      element("div", { class: "pair" }, this.unsteered?.element ?? null, this.steered.element),
      this.below,
    );
    if (this.answer) this.show(this.answer);
    if (this.note !== undefined) this.end(this.note);
  }

  /** Shows what has come so far. */
  show(answer) {
    this.answer = answer;
    this.steered.text.replaceChildren(answer.steered);
    this.unsteered?.text.replaceChildren(answer.unsteered);
  }

  /** Shows what the steering did, when the answer is complete or was cut off; `note` says why it was. */
  end(note = null) {
    const answer = this.answer;
    this.note = note;
    const ended = (finish) => (note !== null ? t(`note.${note}`) : has(`finish.${finish}`) ? t(`finish.${finish}`) : "");
    this.steered.foot.textContent = ended(answer.finish);
    if (this.unsteered) this.unsteered.foot.textContent = ended(answer.besideFinish);
    for (const part of [this.steered, this.unsteered]) {
      if (part && part.text.textContent === "") part.text.replaceChildren(element("span", { class: "quiet", translate: "yes" }, t("no-text")));
    }
    this.below.replaceChildren();
    if (answer.applied?.steering) this.below.append(...applied(answer.applied));
    if (answer.ofAnswer.length) this.below.append(...this.explained());
  }

  /** For readers of screens: both answers in one piece. */
  get spoken() {
    const { steered, unsteered, applied } = this.answer;
    const heard = [t(this.request.steering ? "spoken.steered" : "spoken.model", { text: steered || t("spoken.nothing") })];
    if (this.unsteered) heard.push(t("spoken.unsteered", { text: unsteered || t("spoken.nothing") }));
    if (applied?.left_alone?.length) heard.push(t("did.left-alone", { names: applied.left_alone.join(", ") }));
    if (applied?.departures?.length) heard.push(t("spoken.departs", { departures: applied.departures.join("; ") }));
    return heard.join(" ");
  }

  explained() {
    const { steered, ofPrompt, ofAnswer } = this.answer;
    const scale = element("div", { class: "scale-of-shades" });
    const draw = () => {
      this.steered.text.replaceChildren(...shaded(steered, ofAnswer, this.by));
      scale.replaceChildren(legend(ofAnswer, this.by));
    };
    draw();
    const holder = element("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": t("tokens") });
    const every = element("details", {}, element("summary", {}, t("tokens")), holder);
    every.addEventListener("toggle", () => holder.replaceChildren(table(ofPrompt, ofAnswer)), { once: true });
    return [this.chooser(draw), scale, every];
  }

  chooser(draw) {
    const gates = gated(this.answer.ofAnswer);
    if (!gates.length) return element("p", { class: "shades" }, element("strong", {}, `${t("shade")} `), `${t("shade.size")} ${t("shade.about")}`);
    const choice = element(
      "select",
      {},
      element("option", { value: SIZE }, t("shade.size")),
      ...gates.map((name, i) => element("option", { value: String(i) }, t("shade.gate", { name }))),
    );
    choice.value = this.by === SIZE ? SIZE : String(gates.indexOf(this.by));
    choice.addEventListener("input", () => {
      this.by = choice.value === SIZE ? SIZE : gates[Number(choice.value)];
      draw();
    });
    return element("p", { class: "shades" }, element("label", {}, element("strong", {}, `${t("shade")} `), choice), ` ${t("shade.about")}`);
  }
}

function asked(steering) {
  return listed(Object.entries(steering.strength).map(([name, value]) => t("at", { name, strength: figure(value) })));
}

function column(title, kind) {
  const text = said("", "p", { class: "quoted text" });
  const foot = element("p", { class: "quiet foot" }, t("answering"));
  return { element: element("div", { class: kind }, element("h4", { class: "quoted", dir: "auto" }, title), text, foot), text, foot };
}

function applied(told) {
  const warning = (words) => element("li", {}, element("strong", {}, `${t("departs")} `), said(words, "span", { lang: "en" }));
  const gates = Object.entries(told.gates).map(([name, gate]) => t("did.gate", { name, gate: figure(Number(gate.toPrecision(2))) }));
  const measured = told.touched !== null; // an engine may say no more than which tokens were in scope
  const did = measured
    ? [t("did.touched", { touched: figure(told.touched), n: told.selected }), t("did.size", { share: percent(told.edit_size_ratio) }), ...gates]
    : [];
  const alone = (told.left_alone ?? []).join(", ");
  return [
    alone ? element("p", { class: "did" }, t("did.left-alone", { names: alone })) : null,
    told.departures.length ? element("ul", { class: "notes" }, ...told.departures.map(warning)) : null,
    element("p", { class: "did" }, measured ? t("did", { all: did.join(t("did.and")) }) : "", " ", element("small", {}, t("request", { id: told.request_id }))),
  ].filter((one) => one !== null);
}
