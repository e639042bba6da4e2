// The page: asks the server what it has, sends messages, shows answers and errors.

import { Answer } from "./answers.js";
import { Controls } from "./controls.js";
import { byId, element, figure } from "./elements.js";
import { Exchange } from "./exchange.js";
import { events, read, RequestError } from "./requests.js";
import { curl, python } from "./snippets.js";
import { badge, verdict } from "./verdicts.js";

const KEY = "trimtab-api-key"; // in the tab's own storage, which ends with the tab
const NO_KEY = 401;

const exchanges = [];
let key = sessionStorage.getItem(KEY) ?? "";
let keyed = key !== "";
let running = null; // the message that is being answered, the turns before it, and what stops it

const controls = new Controls(refresh);

/** Reads models, steerings and scopes from the server. */
async function connect() {
  clearFault();
  try {
    const [models, steerings, schema] = await Promise.all([read("v1/models", key), read("v1/steerings", key), read("openapi.json", "")]);
    controls.offer(models.data[0].id, models.data[0].messages, steerings.data, scopesOf(schema));
    byId("served").textContent = `${models.data[0].id}, with ${count(steerings.data.length, "steering")} on this server.`;
    showLeftOut(steerings.faults);
  } catch (error) {
    byId("served").textContent = "The server has not told what it has.";
    showFault(error);
  }
  refresh();
}

function scopesOf(schema) {
  const field = schema.components.schemas.AskedSteering.properties.scope;
  return [field, ...(field.anyOf ?? [])].find((one) => one.enum)?.enum ?? [];
}

function count(n, word) {
  return n === 0 ? `no ${word}s` : n === 1 ? `one ${word}` : `${n} ${word}s`;
}

function showLeftOut(faults) {
  const notes = Object.entries(faults).map(([name, fault]) => element("p", { dir: "auto" }, `Left out: ${name}: ${fault}`));
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
  clearFault();
  running = { message, before, stop: new AbortController() };
  const request = controls.request([...before, { role: "user", content: message }]);
  const exchange = new Exchange(message, exchanges.length + (replaced ? 0 : 1), request);
  replaced ? replaced.element.replaceWith(exchange.element) : byId("log").append(exchange.element);
  byId("announced").textContent = "Answering.";
  const answer = new Answer();
  exchange.show(answer);
  refresh();
  reveal(exchange.element);
  let note = null;
  try {
    for await (const event of events(request, key, running.stop.signal)) {
      answer.take(event);
      exchange.show(answer);
    }
  } catch (error) {
    note = error.name === "AbortError" ? "stopped" : "broke off";
    if (note === "broke off") showFault(error);
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
    byId("announced").textContent = note === "stopped" ? "Stopped." : ""; // an error speaks for itself
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
  byId("send").disabled = running !== null;
  byId("stop").disabled = running === null;
  byId("again").disabled = running !== null || !exchanges.length;
  byId("clear").disabled = running !== null || !exchanges.length;
  byId("access").hidden = !keyed;
  byId("key-note").hidden = !keyed;
  showSummary();
  showVerdicts();
  showSnippets();
}

function showSummary() {
  const one = controls.steering;
  if (controls.model === null) return byId("summary").replaceChildren();
  if (one === null) return byId("summary").replaceChildren("Next answer: the model as it is, unsteered.");
  const parts = controls.sliders.map(({ attribute, value }) =>
    element("span", { class: "part" }, badge(attribute.decision, 16), `${attribute.name} at ${figure(value)}`),
  );
  byId("summary").replaceChildren("Next answer: ", ...parts, element("span", { class: "part" }, `scope ${byId("scope").value}`));
}

let shown = null; // the steering whose verdicts stand on the page

function showVerdicts() {
  const one = controls.steering;
  if (one === shown && byId("verdicts").children.length) return;
  shown = one;
  const none = element("p", { class: "quiet" }, "No steering is chosen, so there is nothing to judge.");
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
  byId("curl").textContent = curl(url, body, keyed);
  byId("python").textContent = python(url, body, keyed);
}

function showFault(error) {
  if (!(error instanceof RequestError)) throw error;
  if (error.status === NO_KEY) keyed = true;
  const text = [error.message, error.id && !error.message.includes(error.id) ? `(request ${error.id})` : null];
  byId("fault").replaceChildren(
    element("strong", {}, error.title),
    element("p", { dir: "auto" }, text.filter(Boolean).join(" ")),
    ...(error.advice ? [element("p", {}, error.advice)] : []),
  );
}

function clearFault() {
  byId("fault").replaceChildren();
}

function useKey(given) {
  key = given;
  if (key) sessionStorage.setItem(KEY, key);
  else sessionStorage.removeItem(KEY);
  byId("key").value = "";
  connect();
}

async function copy(button) {
  const text = byId(button.dataset.copies).textContent;
  try {
    await navigator.clipboard.writeText(text);
    byId("announced").textContent = "Copied.";
    button.dataset.done = "✓ copied";
  } catch {
    getSelection().selectAllChildren(byId(button.dataset.copies));
    byId("announced").textContent = "The browser does not let the page copy; the code is selected instead.";
    button.dataset.done = "selected; copy it by hand";
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
  byId("announced").textContent = "The conversation is empty again.";
  byId("message").focus();
  refresh();
});
byId("access").addEventListener("submit", (event) => {
  event.preventDefault();
  useKey(byId("key").value.trim());
});
byId("forget").addEventListener("click", () => useKey(""));
byId("reload").addEventListener("click", connect);
for (const button of document.querySelectorAll("[data-copies]")) button.addEventListener("click", () => copy(button));

connect();
