// One turn of the conversation: what was said, and the answers to it beside each other.

import { element, figure, percent } from "./elements.js";
import { gated, legend, shaded, SIZE, table } from "./tokens.js";

const FINISHED = { stop: "ended by itself", length: "cut off at the most tokens", tool_calls: "calls a function" };

/** A turn on the page. */
export class Exchange {
  /**
   * @param {string} message
   * @param {number} number Of the turn.
   * @param {object} request Its body.
   */
  constructor(message, number, request) {
    this.message = message;
    this.request = request;
    this.answer = null;
    this.by = SIZE;
    const { steering } = request;
    this.steered = column(steering ? `Steered: ${asked(steering)}` : "Answer of the model as it is", "steered");
    this.unsteered = steering?.compare ? column("Unsteered", "unsteered") : null;
    this.below = element("div", { class: "below" });
    this.element = element(
      "li",
      { class: "exchange" },
      element("h3", {}, `Turn ${number}`),
      element("div", { class: "said" }, element("h4", {}, "You"), element("p", { class: "quoted", dir: "auto" }, message)),
      element("div", { class: "pair" }, this.unsteered?.element ?? null, this.steered.element),
      this.below,
    );
  }

  /** Shows what has come so far. */
  show(answer) {
    this.answer = answer;
    this.steered.text.replaceChildren(answer.steered);
    this.unsteered?.text.replaceChildren(answer.unsteered);
  }

  /** Shows what the steering did, when the answer is complete or was stopped; `note` says why it was. */
  end(note = null) {
    const answer = this.answer;
    this.steered.foot.textContent = note ?? FINISHED[answer.finish] ?? "";
    if (this.unsteered) this.unsteered.foot.textContent = note ?? FINISHED[answer.besideFinish] ?? "";
    for (const part of [this.steered, this.unsteered]) {
      if (part && part.text.textContent === "") part.text.replaceChildren(element("span", { class: "quiet" }, "(no text)"));
    }
    this.below.replaceChildren();
    if (answer.applied?.steering) this.below.append(...applied(answer.applied));
    if (answer.ofAnswer.length) this.below.append(...this.explained());
  }

  /** For readers of screens: both answers in one piece. */
  get spoken() {
    const steered = `${this.request.steering ? "Steered answer" : "Answer"}: ${this.answer.steered || "no text"}`;
    const beside = this.unsteered ? ` Unsteered answer: ${this.answer.unsteered || "no text"}` : "";
    const departures = this.answer.applied?.departures ?? [];
    return `${steered}.${beside}${departures.length ? ` It departs from what was checked: ${departures.join("; ")}.` : ""}`;
  }

  explained() {
    const { steered, ofPrompt, ofAnswer } = this.answer;
    const scale = element("div", { class: "scale-of-shades" });
    const draw = () => {
      this.steered.text.replaceChildren(...shaded(steered, ofAnswer, this.by));
      scale.replaceChildren(legend(ofAnswer, this.by));
    };
    draw();
    const holder = element("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": "Every token with its figures" });
    const every = element("details", {}, element("summary", {}, "Every token with its figures"), holder);
    every.addEventListener("toggle", () => holder.replaceChildren(table(ofPrompt, ofAnswer)), { once: true });
    return [this.chooser(draw), scale, every];
  }

  chooser(draw) {
    const explained = "An edit at a token acts on the tokens after it; nothing follows the last.";
    const size = "size of the edit, as a share of the activation";
    const gates = gated(this.answer.ofAnswer);
    if (!gates.length) return element("p", { class: "shades" }, element("strong", {}, "Shade: "), `${size}. ${explained}`);
    const choice = element(
      "select",
      {},
      element("option", { value: SIZE }, size),
      ...gates.map((name, i) => element("option", { value: String(i) }, `gate of ${name}, 0 shut to 1 open`)),
    );
    choice.addEventListener("input", () => {
      this.by = choice.value === SIZE ? SIZE : gates[Number(choice.value)];
      draw();
    });
    return element("p", { class: "shades" }, element("label", {}, element("strong", {}, "Shade: "), choice), ` ${explained}`);
  }
}

function asked(steering) {
  const strengths = Object.entries(steering.strength).map(([name, value]) => `${name} at ${figure(value)}`);
  return strengths.join(", ");
}

function column(title, kind) {
  const text = element("p", { class: "quoted text", dir: "auto" });
  const foot = element("p", { class: "quiet foot" }, "answering …");
  return { element: element("div", { class: kind }, element("h4", { class: "quoted", dir: "auto" }, title), text, foot), text, foot };
}

function applied(told) {
  const warning = (words) => element("li", { dir: "auto" }, element("strong", {}, "Departs from the check: "), words);
  const gates = Object.entries(told.gates).map(([name, gate]) => `mean gate of ${name} ${figure(Number(gate.toPrecision(2)))}`);
  const did = [
    `${told.touched} of ${told.selected} tokens in scope were edited`,
    `on average by ${percent(told.edit_size_ratio)} of the activation`,
    ...gates,
  ];
  return [
    told.departures.length ? element("ul", { class: "notes" }, ...told.departures.map(warning)) : null,
    element("p", { class: "did" }, `${did.join(", ")}. `, element("small", {}, `Request ${told.request_id}.`)),
  ].filter((one) => one !== null);
}
