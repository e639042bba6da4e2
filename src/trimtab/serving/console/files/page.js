// The page: reads what there is, shows it, follows events, and does what is confirmed.

import { Access } from "../pages/access.js";
import { byId, element } from "../pages/elements.js";
import { ago, figure, languageChoice, parts, said, t, word } from "../pages/language.js";
import { fetched, posting, read, RequestError } from "../pages/requests.js";
import { confirmed, explained, keepable } from "./actions.js";
import { follow } from "./live.js";
import { audited, monitored } from "./monitoring.js";
import { release } from "./release.js";
import { releaseList } from "./releases.js";
import { Known, stale } from "./state.js";

const ALL = ["releases", "off", "detail", "monitoring", "audit"];
const access = new Access(byId("access-place"), byId("fault"), connect);
let known = new Known();
let versions = null; // of the last event
let link = { state: "off", wait: 0 };
let following = null;
let waiting = new Set(); // parts that are to be read
let reading = null;

languageChoice(byId("language-place"), () => (access.draw(), draw(ALL)));

/** Begins anew, with the key of the tab. */
async function connect() {
  following?.abort();
  following = new AbortController();
  const { signal } = following;
  [known, versions] = [new Known(), null];
  link = { state: "off", wait: 0 };
  access.clear();
  try {
    known.key = await read("v1/key", access.key);
  } catch (error) {
    access.tell(error);
    setLink("off");
    if (error.status === 0) setTimeout(() => signal.aborted || connect(), 3000);
    return draw(ALL);
  }
  draw(ALL);
  if (!known.key.scopes.includes("read")) return access.tell(new RequestError(403, { message: t("error.no-read", { key: known.key.name }) }));
  follow(access.key, signal, {
    changed: (now) => {
      refresh(link.state === "live" ? stale(versions, now) : ALL);
      versions = now;
      setLink("live");
    },
    lost: (error, wait) => setLink("lost", wait),
    refused: (error) => (access.tell(error), setLink("off")),
  });
}

/** Reads parts, one reading after the other, and shows them. */
async function refresh(wanted) {
  for (const part of wanted) waiting.add(part);
  if (reading) return reading;
  reading = (async () => {
    while (waiting.size) {
      const now = [...waiting];
      waiting = new Set();
      const of = known;
      const fault = await of.refresh(now, access.key);
      if (of !== known) continue; // the key was changed meanwhile
      if (fault && !(fault instanceof RequestError)) throw fault;
      draw(now);
    }
  })().finally(() => (reading = null));
  return reading;
}

/** Shows parts as they are known. The focus and what was opened stay. */
function draw(wanted) {
  byId("main").hidden = known.key === null;
  drawHead();
  if (known.key === null) return;
  const store = known.key.store;
  for (const id of ["releases", "release", "audit"]) byId(`${id}-heading`).parentElement.hidden = !store && id !== "releases";
  byId("off").hidden = !store;
  if (!store) byId("releases").replaceChildren(element("p", { class: "note" }, ...parts("store.none", { option: said("--store", "code"), model: said(known.key.model) })));
  if (store && wanted.includes("off")) place("off", known.off, drawOff);
  if (store && (wanted.includes("releases") || wanted.includes("detail"))) place("releases", known.releases, (found) => releaseList(found, known.chosen, choose));
  if (store && wanted.includes("detail")) drawRelease();
  if (wanted.includes("monitoring")) place("monitoring", known.monitoring, monitored);
  if (store && wanted.includes("audit")) place("audit", known.audit, audited);
}

function drawHead() {
  const { key } = known;
  byId("served").textContent = key === null ? t("served.none") : t(key.store ? "served" : "served.alone", { model: key.model });
  access.own(key === null ? null : parts("key.owner", { key: said(key.name, "strong"), scopes: said(key.scopes.join(", ")) }));
  byId("read-only").hidden = key === null || known.may;
  if (key !== null) byId("read-only").replaceChildren(...parts("read-only", { key: said(key.name), scope: said("operate", "code") }));
  const name = known.chosen === null ? [t("release.none")] : parts("release.heading", { name: said(known.chosen) });
  byId("release-heading").replaceChildren(...name);
  drawLink();
}

function place(id, found, drawing) {
  if (found === null) return keep(byId(id), [element("p", { class: "quiet" }, t("reading"))]);
  if (found instanceof Error) return keep(byId(id), [element("p", { class: "note" }, t(found.status === 404 ? "part.missing" : "part.broken"), " ", said(found.message, "span", { lang: "en" }))]);
  keep(byId(id), drawing(found));
}

/** Other contents, with the focus on what has the same id or mark, and the same details open. */
function keep(holder, contents) {
  const [focus, open] = [document.activeElement, [...holder.querySelectorAll("details")].map((one) => one.open)];
  const mark = holder.contains(focus) ? ["id", "data-release", "data-action"].map((name) => [name, focus.getAttribute(name)]).find(([, value]) => value) : null;
  const top = holder.getBoundingClientRect().height;
  holder.style.setProperty("min-height", `${top}px`); // or the page jumps while it is empty
  holder.replaceChildren(...contents);
  holder.style.removeProperty("min-height");
  [...holder.querySelectorAll("details")].forEach((one, i) => (one.open = open[i] ?? false));
  if (mark) holder.querySelector(`[${mark[0]}="${CSS.escape(mark[1])}"]`)?.focus({ preventScroll: true });
}

function drawRelease() {
  if (known.chosen === null) return place("release", { none: true }, () => [element("p", { class: "quiet" }, t("release.none.next"))]);
  place("release", known.detail, (detail) => release(detail, { may: known.may, act, measure, metric: known.metric }));
}

function drawOff(found) {
  const words = [element("h2", { id: "off-heading" }, t("off.heading"))];
  words.push(element("p", { class: found.off ? "warning" : null }, t(found.off ? "off.is" : "off.not"), ...(found.reason ? [" ", said(found.reason, "span", { lang: "en" })] : [])));
  if (known.releases?.condition && known.releases.condition !== "live") words.push(element("p", { class: "warning" }, word("condition", known.releases.condition)));
  if (known.may) {
    const action = found.off ? "on" : "off";
    const button = element("button", { type: "button", class: action === "off" ? "grave" : null, "data-action": action }, t(`act.${action}`));
    button.addEventListener("click", () => switchAll(action));
    words.push(button);
  }
  return words;
}

function setLink(state, wait = 0) {
  link = { state, wait };
  drawLink();
}

/** Whether what is shown is live; the state is told to readers of screens, its age is not each second. */
function drawLink() {
  const words = link.state === "off" ? "" : link.state === "lost" ? t("live.lost", { n: Math.round(link.wait / 1000) }) : versions?.store === "lost" ? t("live.store-lost") : t("live.on");
  if (byId("live").textContent !== words) byId("live").textContent = words;
  byId("link").className = `live ${link.state === "lost" || versions?.store === "lost" ? "lost" : link.state}`;
  byId("age").textContent = link.state === "lost" && known.read !== null ? t("live.age", { ago: ago(known.read / 1000) }) : "";
}

async function choose(name) {
  known.choose(name);
  draw(["releases", "detail"]);
  byId("release-heading").focus({ preventScroll: true });
  byId("release-heading").scrollIntoView({ block: "start" });
  await refresh(["detail"]);
}

async function measure(metric) {
  known.metric = metric;
  await refresh(["detail"]);
}

/** Takes a step with the chosen release, meant for the state that the page shows. */
async function act(action) {
  const { status } = known.detail;
  const given = await confirmed({ action, word: status.name, does: explained(action, status), keeps: action === "finish" ? keepable(status.definition) : [] });
  if (given === null) return;
  const body = { why: given.why, expected: status.version, ...(action === "finish" ? { keep: given.keep } : {}) };
  await done(`v1/releases/${encodeURIComponent(status.name)}/${action}`, body, (found) =>
    t("done", { name: found.name, state: word("state", found.state), share: figure(found.share) }),
  );
}

async function switchAll(action) {
  const given = await confirmed({ action, word: action.toUpperCase(), does: t(`act.${action}.does`) });
  if (given === null) return;
  await done("v1/off", { off: action === "off", why: given.why }, (found) => t(found.off ? "done.off" : "done.on"));
}

async function done(path, body, words) {
  access.clear();
  try {
    const found = await (await fetched(path, posting(body), access.key)).json();
    byId("done").textContent = words(found);
    if (found.fault) access.tell(new RequestError(503, { message: found.fault }));
  } catch (error) {
    access.tell(error);
    byId("fault").scrollIntoView({ block: "nearest" });
  }
  await refresh(ALL);
}

setInterval(() => {
  if (link.state === "lost") drawLink();
  for (const one of document.querySelectorAll("[data-ago]")) {
    const words = ago(Number(one.dataset.ago) || one.dataset.ago);
    if (one.textContent !== words) one.textContent = words;
  }
}, 1000);

connect();
