// The settings: which steering, how strong each attribute is, which tokens, and how answers are drawn.

import { byId, element } from "../pages/elements.js";
import { figure, has, t } from "../pages/language.js";

const CUSTOM = "custom";
const CHECKED = "checked";
const REACH = 3; // the slider's end, in checked strengths; the field beside it goes to the server's limit

/** The strength that a slider marks: the checked one, else the default. */
function marked(attribute) {
  return attribute.checked_strength ?? attribute.strength;
}

/** A step that is 1, 2 or 5 times a power of ten, about a sixtieth of the slider. */
function stepOf(reach) {
  const power = 10 ** Math.floor(Math.log10(reach / 30));
  return [1, 2, 5].map((digit) => digit * power).findLast((step) => step <= reach / 30);
}

/** One attribute's slider, the field beside it, and the marks below. */
class Slider {
  constructor(attribute, index, changed) {
    this.attribute = attribute;
    const most = attribute.largest_strength;
    const step = stepOf(Math.min(most, REACH * (Math.abs(marked(attribute)) || 1)));
    const reach = step * Math.ceil(Math.min(most, REACH * (Math.abs(marked(attribute)) || 1)) / step - 1e-9);
    const id = `strength-${index}`;
    this.range = element("input", { type: "range", id, min: -reach, max: reach, step, "aria-describedby": `${id}-hint` });
    this.field = element("input", {
      type: "number", id: `${id}-number`, min: -most, max: most, step: "any", required: true,
      "aria-label": t("strength.number", { name: attribute.name }), "aria-describedby": `${id}-hint`,
    });
    this.range.addEventListener("input", () => this.take(Number(this.range.value), changed));
    this.field.addEventListener("input", () => this.take(this.field.valueAsNumber, changed, false));
    this.element = element(
      "div",
      { class: "slider" },
      element("label", { for: id, class: "quoted", dir: "auto", translate: "no" }, attribute.name),
      element("div", { class: "track" }, this.range, scale(attribute, reach)),
      this.field,
      element("p", { id: `${id}-hint`, class: "quiet" }, hint(attribute)),
    );
    this.set(attribute.strength);
  }

  take(value, changed, shown = true) {
    if (Number.isFinite(value)) this.set(value, shown);
    changed();
  }

  set(value, shown = true) {
    this.value = value;
    this.range.value = value;
    this.range.setAttribute("aria-valuetext", figure(value));
    if (shown) this.field.value = Number(value.toPrecision(6));
  }
}

function hint(attribute) {
  const most = figure(attribute.largest_strength);
  const mark = attribute.checked_strength === null
    ? t("strength.unchecked", { strength: figure(attribute.strength) })
    : t("strength.checked", { strength: figure(attribute.checked_strength) });
  return t("strength.hint", { mark, most });
}

function scale(attribute, reach) {
  const made = element("div", { class: "scale", "aria-hidden": "true" });
  const word = t(attribute.checked_strength === null ? "mark.default" : "mark.checked");
  const marks = [[0, "0"], ...(marked(attribute) ? [[marked(attribute), word]] : [])];
  for (const [value, words] of marks) {
    const mark = element("span", {}, words);
    mark.style.setProperty("--at", (value + reach) / (2 * reach));
    made.append(mark);
  }
  return made;
}

/** The settings of the page. */
export class Controls {
  /** @param {() => void} changed Is told of every change. */
  constructor(changed) {
    this.changed = changed;
    this.steerings = [];
    this.scopes = [];
    this.sliders = [];
    this.model = null;
    byId("steering").addEventListener("change", () => this.choose(byId("steering").value));
    byId("preset").addEventListener("change", () => this.usePreset());
    for (const id of ["scope", "compare", "explain", "follow", "max-tokens", "temperature", "seed", "system"]) {
      byId(id).addEventListener("input", () => this.tell());
    }
  }

  /** The chosen steering; null for none. */
  get steering() {
    return this.steerings.find((one) => one.name === byId("steering").value) ?? null;
  }

  /** Takes what the server has, and keeps the present choice where it is still there. */
  offer(model, chats, steerings, scopes) {
    const before = this.steering?.name ?? (this.model === null ? null : "");
    Object.assign(this, { model, chats, steerings, scopes });
    byId("system").disabled = !chats;
    byId("continues").hidden = chats;
    const options = steerings.map((one) =>
      element("option", { value: one.name, disabled: !one.enabled, translate: one.enabled ? "no" : null }, one.enabled ? one.name : t("steering.off", { name: one.name })),
    );
    byId("steering").replaceChildren(element("option", { value: "" }, t("steering.none")), ...options);
    const there = steerings.filter((one) => one.enabled).map((one) => one.name);
    this.choose(before === "" || there.includes(before) ? before : there[0] ?? "");
  }

  /** The same settings in the language that the page speaks now. */
  relabel() {
    if (this.model === null) return;
    const [preset, scope, values] = [byId("preset").value, byId("scope").value, this.sliders.map((slider) => slider.value)];
    this.offer(this.model, this.chats, this.steerings, this.scopes);
    if (this.steering === null) return;
    this.sliders.forEach((slider, i) => slider.set(values[i]));
    [byId("preset").value, byId("scope").value] = [preset, scope];
    this.tell();
  }

  choose(name) {
    byId("steering").value = name;
    const one = this.steering;
    byId("steered").hidden = one === null;
    byId("artifact").textContent = one === null ? "" : t("artifact", { method: one.method, id: one.id.slice(0, 12) });
    if (one !== null) {
      this.sliders = one.attributes.map((attribute, i) => new Slider(attribute, i, () => this.moved()));
      byId("sliders").replaceChildren(...this.sliders.map((slider) => slider.element));
      const presets = Object.keys(one.presets).map((preset, i) => element("option", { value: String(i) }, t("preset", { name: preset })));
      byId("preset").replaceChildren(
        element("option", { value: CHECKED }, t(one.attributes.some((a) => a.checked_strength !== null) ? "preset.checked" : "preset.defaults")),
        ...presets,
        element("option", { value: CUSTOM }, t("preset.custom")),
      );
      this.offerScopes(one);
    }
    this.tell();
  }

  offerScopes(one) {
    const checked = one.attributes.some((attribute) => attribute.checked_scope === one.scope);
    const mark = checked ? "scope.checked" : "scope.default";
    const options = this.scopes.map((scope) => element("option", { value: scope, translate: scope === one.scope ? null : "no" }, scope === one.scope ? t(mark, { scope }) : scope));
    byId("scope").replaceChildren(...options);
    byId("scope").value = one.scope;
  }

  usePreset() {
    const chosen = byId("preset").value;
    if (chosen === CUSTOM) return;
    const values = chosen === CHECKED ? {} : Object.values(this.steering.presets)[Number(chosen)];
    for (const slider of this.sliders) slider.set(values[slider.attribute.name] ?? slider.attribute.strength);
    this.tell();
  }

  moved() {
    byId("preset").value = CUSTOM;
    this.tell();
  }

  tell() {
    const about = `scope.${byId("scope").value}.about`;
    byId("scope-hint").textContent = has(about) ? t(about) : "";
    this.changed();
  }

  /** Shows the first setting that is no number in its range; true if all are. */
  valid() {
    const shown = this.steering === null ? [] : this.sliders.map((slider) => slider.field);
    return [byId("max-tokens"), byId("temperature"), byId("seed"), ...shown].every((field) => field.reportValidity());
  }

  /** The body of a request, without what asks for a stream. */
  request(turns) {
    const system = byId("system").value.trim();
    const seed = byId("seed").value;
    const body = {
      model: this.model,
      ...(this.chats ? { messages: [...(system ? [{ role: "system", content: system }] : []), ...turns] } : { prompt: turns.at(-1).content }),
      max_tokens: Number(byId("max-tokens").value),
      temperature: Number(byId("temperature").value),
      ...(seed === "" ? {} : { seed: Number(seed) }),
    };
    return this.steering === null ? body : { ...body, steering: this.asked() };
  }

  asked() {
    return {
      name: this.steering.name,
      strength: Object.fromEntries(this.sliders.map((slider) => [slider.attribute.name, slider.value])),
      scope: byId("scope").value,
      ...(byId("explain").checked ? { explain: true } : {}),
      ...(byId("compare").checked ? { compare: true } : {}),
    };
  }
}
