// The language of a page: its texts from the catalogues, its numbers and times by Intl.

import { element } from "./elements.js";

const LANGUAGES = ["en", "ja"];
const STORED = "trimtab-language"; // in the browser's storage, once somebody has chosen
const page = document.documentElement.dataset.page;

let language = LANGUAGES[0];
let texts = {};

function stored() {
  try {
    return localStorage.getItem(STORED);
  } catch {
    return null; // a browser may keep nothing
  }
}

function preferred() {
  const wanted = [stored(), ...navigator.languages].filter(Boolean).map((one) => one.toLowerCase().split("-")[0]);
  return wanted.find((one) => LANGUAGES.includes(one)) ?? LANGUAGES[0];
}

async function catalogue(room, wanted) {
  const response = await fetch(new URL(`${room}/${wanted}.json`, document.baseURI), { credentials: "omit" });
  if (!response.ok) throw new Error(`${room}/${wanted}.json: ${response.status}`);
  return response.json();
}

/** Loads the texts of a language and puts them where the page's markup asks for them. */
async function speak(wanted) {
  texts = Object.assign({}, ...(await Promise.all([catalogue("pages", wanted), catalogue(page, wanted)])));
  language = wanted;
  document.documentElement.lang = wanted;
  document.title = `${t("title")} · trimtab`;
  for (const one of document.querySelectorAll("[data-t]")) one.textContent = t(one.dataset.t);
  for (const name of ["aria-label", "placeholder"]) {
    for (const one of document.querySelectorAll(`[data-t-${name}]`)) one.setAttribute(name, t(one.getAttribute(`data-t-${name}`)));
  }
}

/**
 * A text of the catalogue.
 * @param {string} key
 * @param {Object<string, unknown>} values What stands for {names}; `n` also decides between one and many.
 */
export function t(key, values = {}) {
  const found = texts[key];
  if (found === undefined) throw new Error(`no text ${key}`);
  const text = typeof found === "string" ? found : found[new Intl.PluralRules(language).select(values.n)] ?? found.other;
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name === "n" && typeof values.n === "number" ? figure(values.n) : values[name] ?? whole));
}

/** Whether the catalogue has a text; words that a later server says have none. */
export function has(key) {
  return Object.hasOwn(texts, key);
}

/** The text of a word that the server says, or the word itself where it has none. */
export function word(kind, said) {
  return has(`${kind}.${said}`) ? t(`${kind}.${said}`) : said;
}

/**
 * A text with elements for some of its {names}.
 * @param {string} key
 * @param {Object<string, Node>} nodes
 */
export function parts(key, nodes) {
  return t(key).split(/\{(\w+)\}/g).map((piece, i) => (i % 2 ? nodes[piece] : document.createTextNode(piece)));
}

function minus(text) {
  return text.replace(/^-/, "−").replace(/E-/, "E−");
}

/** A number for people: at most four significant digits, with a true minus sign. */
export function figure(value, options = {}) {
  if (!Number.isFinite(value)) return "?";
  const small = value !== 0 && Math.abs(value) < 1e-4;
  const shape = small ? { notation: "scientific", maximumSignificantDigits: 2 } : { maximumSignificantDigits: 4 };
  return minus(new Intl.NumberFormat(language, { ...shape, ...options }).format(value));
}

/** A share in per cent, to two significant digits. */
export function percent(value, digits = 2) {
  return minus(new Intl.NumberFormat(language, { style: "percent", maximumSignificantDigits: digits }).format(value));
}

/** A time as an element, such as Nov 29, 11:05 PM; seconds since 1970, or ISO 8601. */
export function moment(time) {
  const date = dated(time);
  const shown = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" }).format(date);
  return element("time", { datetime: date.toISOString() }, shown);
}

/** How long ago a time was, as a text. */
export function ago(time) {
  const seconds = Math.max(0, (Date.now() - dated(time)) / 1000);
  const [size, unit] = [[86400, "day"], [3600, "hour"], [60, "minute"], [1, "second"]].find(([size]) => seconds >= size) ?? [1, "second"];
  return new Intl.RelativeTimeFormat(language, { numeric: "auto" }).format(-Math.floor(seconds / size), unit);
}

/** A moment of an axis: the time of day, or the day where the axis is longer than two. */
export function tick(time, span) {
  const shape = span > 2 * 86400 ? { month: "short", day: "numeric" } : { hour: "numeric", minute: "2-digit" };
  return new Intl.DateTimeFormat(language, shape).format(dated(time));
}

function dated(time) {
  return new Date(typeof time === "number" ? 1000 * time : time);
}

/** Words in their order, such as a, b and c. */
export function listed(words) {
  return new Intl.ListFormat(language).format(words);
}

/** Words of the server or of a person, which stay as they are. */
export function said(words, tag = "span", attributes = {}) {
  return element(tag, { translate: "no", dir: "auto", ...attributes }, words);
}

/** The choice of a language. @param {Element} place @param {() => void} changed Is told when the page speaks another. */
export function languageChoice(place, changed) {
  const choice = element("select", { id: "language" }, ...LANGUAGES.map((one) => element("option", { value: one, lang: one, "data-t": `language.${one}` })));
  const label = element("label", { for: "language", "data-t": "language" });
  place.replaceChildren(label, choice);
  for (const one of place.querySelectorAll("[data-t]")) one.textContent = t(one.dataset.t);
  choice.value = language;
  choice.addEventListener("change", async () => {
    try {
      await speak(choice.value);
    } catch {
      choice.value = language; // the server is gone, and the texts with it
      return;
    }
    try {
      localStorage.setItem(STORED, language);
    } catch {} // then it is asked for anew next time
    changed();
  });
  return choice;
}

await speak(preferred());
