// What the page knows: read from the server part by part, each again when an event says that it may have changed.

import { read } from "../pages/requests.js";

const PARTS = {
  releases: ["releases", "condition", "store"],
  off: ["condition", "store"],
  detail: ["releases", "exposures", "outcomes", "store"],
  monitoring: ["monitoring", "alarms"],
  audit: ["audit", "store"],
};

/** The parts that differ between two events; all of them after none. */
export function stale(before, now) {
  const names = Object.keys(PARTS);
  if (before === null) return names;
  return names.filter((part) => PARTS[part].some((version) => before[version] !== now[version]));
}

/** What was read last. A part that cannot be read now keeps what it had, or holds the error. */
export class Known {
  constructor() {
    this.key = null; // of the caller: name, scopes, model, and whether there is a store
    this.chosen = new URL(location).searchParams.get("release");
    this.metric = null;
    this.read = null; // when something was read last
    Object.assign(this, { releases: null, off: null, detail: null, monitoring: null, audit: null });
  }

  get may() {
    return this.key?.scopes.includes("operate") ?? false;
  }

  /** Reads parts. @returns {Promise<?Error>} The first error, where one could not be read. */
  async refresh(parts, key) {
    const faults = [];
    const get = (path) => read(path, key);
    const take = async (part, promise) => {
      try {
        this[part] = await promise;
        this.read = Date.now();
      } catch (error) {
        if (this[part] === null || this[part] instanceof Error) this[part] = error;
        faults.push(error);
      }
    };
    const store = this.key.store;
    if (store && parts.includes("releases")) {
      await take("releases", get("v1/releases"));
      if (this.chosen === null && this.releases.data?.length) this.chosen = first(this.releases.data);
    }
    await Promise.all([
      store && parts.includes("off") ? take("off", get("v1/off")) : null,
      store && parts.includes("audit") ? take("audit", get("v1/audit?limit=15").then((found) => found.data)) : null,
      parts.includes("monitoring") ? take("monitoring", get("v1/monitoring")) : null,
      store && parts.includes("detail") && this.chosen !== null ? take("detail", this.detailed(get)) : null,
    ]);
    return faults[0] ?? null;
  }

  /** All of the chosen release. What a kind of release does not have is an error in its place. */
  async detailed(get) {
    const name = this.chosen;
    const at = `v1/releases/${encodeURIComponent(name)}`;
    const status = await get(at);
    const or = (promise) => promise.catch((error) => error);
    const judged = status.definition.plan !== null;
    const of = this.metric === null ? "" : `?metric=${encodeURIComponent(this.metric)}`;
    const [experiment, steps, series, feedback] = await Promise.all([
      or(get(`${at}/experiment`)),
      or(get(`${at}/history`).then((found) => found.data)),
      judged ? or(get(`${at}/series${of}`)) : null,
      or(get(`${at}/feedback`)),
    ]);
    return { status, experiment, steps, series, feedback };
  }

  /** Opens another release. */
  choose(name) {
    Object.assign(this, { chosen: name, metric: null, detail: null });
    const url = new URL(location);
    url.searchParams.set("release", name);
    history.replaceState(null, "", url);
  }
}

/** Of all releases the one that somebody on duty asks for first: the newest that is live, else the newest. */
function first(releases) {
  const newest = releases.toReversed();
  return (newest.find((one) => one.state === "running") ?? newest.find((one) => one.state === "paused") ?? newest[0]).name;
}
