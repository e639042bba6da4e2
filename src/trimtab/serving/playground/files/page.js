// The page: asks the server what it has, sends messages, shows answers and errors.

import { Access } from "../pages/access.js";
import { byId, element } from "../pages/elements.js";
import { figure, languageChoice, said, t } from "../pages/language.js";
import { read } from "../pages/requests.js";
import { Answer } from "./answers.js";
import { Controls } from "./controls.js";
import { Exchange } from "./exchange.js";
import { curl, python } from "./snippets.js";
import { events } from "./stream.js";
import { badge, verdict } from "./verdicts.js";

const exchanges = [];
let served = null; // the model and the steerings, as the server told them; undefined where it did not
let running = null; // the message that is being answered, the turns before it, and what stops it

const access = new Access(byId("access-place"), byId("fault"), connect);
const controls = new Controls(refresh);
const language = languageChoice(byId("language-place"), relabel);

/** Reads models, steerings and scopes from the server. */
async function connect() {
  access.clear();
  try {
    const [models, steerings, schema] = await Promise.all([read("v1/models", access.key), read("v1/steerings", access.key), read("openapi.json", "")]);
    served = { model: models.data[0].id, n: steerings.data.length, faults: steerings.faults };
    controls.offer(models.data[0].id, models.data[0].messages, steerings.data, scopesOf(schema));
  } catch (error) {
    served = undefined;
    access.tell(error);
  }
  showServed();
  refresh();
}

/** Says everything anew in the language that was chosen. */
function relabel() {
  access.draw();
  showServed();
  for (const exchange of exchanges) exchange.label();
  controls.relabel();
  shown = undefined;
  refresh();
}

function scopesOf(schema) {
  const field = schema.components.schemas.AskedSteering.properties.scope;
  return [field, ...(field.anyOf ?? [])].find((one) => one.enum)?.enum ?? [];
}

function showServed() {
  const words = served === null ? t("asking") : served === undefined ? t("served.none") : t(served.n ? "served" : "served.alone", { model: served.model, n: served.n });
  byId("served").textContent = words;
  const notes = Object.entries(served?.faults ?? {}).map(([name, fault]) => element("p", {}, `${t("left-out")} `, said(`${name}: ${fault}`)));
  byId("left-out").replaceChildren(...notes);
  byId("left-out").hidden = !notes.length;
}

/** What was said so far, without the last `n` turns. */
function turns(n = 0) {
  const follow = byId("follow").value;
  return exchanges.slice(0, exchanges.length - n).flatMap(({ message, answer, request }) => [
    { role: "user", content: message },
    { role: "assistant", content: follow === "unsteered" && request.steering?.compare ? answer.unsteered : answer.steered },
  ]);
}

/** The message that the page is about: the draft, else the one being answered or the last, and the turns before it. */
function present() {
  const draft = byId("message").value.trim();
  if (draft) return { message: draft, before: turns() };
  if (running) return running;
  return exchanges.length ? { message: exchanges.at(-1).message, before: turns(1) } : null;
}

async function send(message, before, replaced) {
  if (running || !controls.model || !controls.valid()) return;
  access.clear();
  running = { message, before, stop: new AbortController() };
  const request = controls.request([...before, { role: "user", content: message }]);
  const exchange = new Exchange(message, exchanges.length + (replaced ? 0 : 1), request);
  replaced ? replaced.element.replaceWith(exchange.element) : byId("log").append(exchange.element);
  byId("announced").textContent = t("announce.answering");
  const answer = new Answer();
  exchange.show(answer);
  refresh();
  reveal(exchange.element);
  let note = null;
  try {
    for await (const event of events(request, access.key, running.stop.signal)) {
      answer.take(event);
      exchange.show(answer);
    }
  } catch (error) {
    note = error.name === "AbortError" ? "stopped" : "broke-off";
    if (note === "broke-off") access.tell(error);
  }
  running = null;
  settle(exchange, replaced, note);
}

/** Brings an exchange into view, from its beginning if it is taller than the screen. */
function reveal(part) {
  part.scrollIntoView({ block: part.offsetHeight > innerHeight ? "start" : "nearest", behavior: "instant" });
}

/** Keeps an exchange, or takes it back if nothing came of it. */
function settle(exchange, replaced, note) {
  if (note !== null && !exchange.answer.steered && !exchange.answer.unsteered) {
    replaced ? exchange.element.replaceWith(replaced.element) : exchange.element.remove();
    if (!replaced && !byId("message").value) byId("message").value = exchange.message;
    byId("announced").textContent = note === "stopped" ? t("announce.stopped") : ""; // an error speaks for itself
  } else {
    exchange.end(note);
    if (replaced) exchanges.pop();
    exchanges.push(exchange);
    byId("announced").textContent = exchange.spoken;
    reveal(exchange.element);
  }
  refresh();
}

/** Brings everything that follows from the settings and the conversation up to date. */
function refresh() {
  byId("empty").hidden = Boolean(byId("log").children.length);
  byId("send").disabled = running !== null || controls.model === null; // until the server has said what it has
  byId("stop").disabled = running === null;
  language.disabled = running !== null; // or a part of the answer's words would be in the other one
  byId("again").disabled = running !== null || !exchanges.length;
  byId("clear").disabled = running !== null || !exchanges.length;
  access.draw();
  byId("key-note").textContent = access.keyed ? ` ${t("code.key", { variable: "TRIMTAB_API_KEY" })}` : "";
  showSummary();
  showVerdicts();
  showSnippets();
}

function showSummary() {
  const one = controls.steering;
  if (controls.model === null) return byId("summary").replaceChildren();
  if (one === null) return byId("summary").replaceChildren(t("summary.unsteered"));
  const parts = controls.sliders.map(({ attribute, value }) =>
    element("span", { class: "part" }, badge(attribute.decision, 16), t("at", { name: attribute.name, strength: figure(value) })),
  );
  byId("summary").replaceChildren(`${t("summary.next")} `, ...parts, element("span", { class: "part" }, t("summary.scope", { scope: byId("scope").value })));
}

let shown = null; // the steering whose verdicts stand on the page

function showVerdicts() {
  const one = controls.steering;
  if (one === shown && byId("verdicts").children.length) return;
  shown = one;
  const none = element("p", { class: "quiet" }, t("verdict.none"));
  byId("verdicts").replaceChildren(...(one === null ? [none] : one.attributes.map(verdict)));
  byId("card").hidden = !one?.card;
  byId("card-text").textContent = one?.card.replace(/^---\n.*?\n---\n+/s, "") ?? "";
}

function showSnippets() {
  const now = controls.model === null ? null : present();
  byId("snippets").hidden = now === null;
  byId("no-request").hidden = now !== null;
  if (now === null) return;
  const body = controls.request([...now.before, { role: "user", content: now.message }]);
  const url = new URL("v1", document.baseURI).href;
  byId("curl").textContent = curl(url, body, access.keyed);
  byId("python").textContent = python(url, body, access.keyed);
}

async function copy(button) {
  const text = byId(button.dataset.copies).textContent;
  try {
    await navigator.clipboard.writeText(text);
    byId("announced").textContent = t("announce.copied");
    button.dataset.done = t("copied");
  } catch {
    getSelection().selectAllChildren(byId(button.dataset.copies));
    byId("announced").textContent = t("announce.selected");
    button.dataset.done = t("selected");
  }
  setTimeout(() => delete button.dataset.done, 2000);
}

byId("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  const draft = byId("message").value.trim();
  if (!draft || running || !controls.model || !controls.valid()) return;
  byId("message").value = "";
  send(draft, turns(), null);
});
byId("message").addEventListener("input", refresh);
byId("message").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  byId("composer").requestSubmit();
});
byId("again").addEventListener("click", () => send(exchanges.at(-1).message, turns(1), exchanges.at(-1)));
byId("stop").addEventListener("click", () => running?.stop.abort());
byId("clear").addEventListener("click", () => {
  exchanges.length = 0;
  byId("log").replaceChildren();
  byId("announced").textContent = t("announce.cleared");
  byId("message").focus();
  refresh();
});
byId("reload").addEventListener("click", connect);
for (const button of document.querySelectorAll("[data-copies]")) button.addEventListener("click", () => copy(button));

connect();
