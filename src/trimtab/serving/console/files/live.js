// The stream of events: read by fetch, since the key goes in a header; opened again, ever later, when it is lost.

import { fetched, lines, RequestError } from "../pages/requests.js";

const FIRST_WAIT = 1000; // milliseconds
const LONGEST_WAIT = 30_000;
const SILENCE = 40_000; // without event or sign of life, of which there is one every 15 seconds
const FINAL = [401, 403, 404]; // trying again changes nothing

/**
 * Follows events until the signal.
 * @param {string} key
 * @param {AbortSignal} signal
 * @param {{changed: (versions: object) => void, lost: (error: Error, wait: number) => void, refused: (error: Error) => void}} told
 */
export async function follow(key, signal, told) {
  let wait = FIRST_WAIT;
  while (!signal.aborted) {
    try {
      for await (const versions of events(key, signal)) {
        wait = FIRST_WAIT;
        told.changed(versions);
      }
      continue; // the server ends a stream after a while
    } catch (error) {
      if (signal.aborted) return;
      if (FINAL.includes(error.status)) return told.refused(error);
      told.lost(error, wait);
    }
    await pause(wait * (0.8 + 0.4 * Math.random()), signal); // not all pages at the same moment
    wait = Math.min(LONGEST_WAIT, 2 * wait);
  }
}

async function* events(key, signal) {
  const silent = new AbortController();
  const both = AbortSignal.any([signal, silent.signal]);
  let timer = setTimeout(() => silent.abort(), SILENCE);
  try {
    const response = await fetched("v1/events", { signal: both }, key);
    for await (const line of lines(response.body)) {
      clearTimeout(timer);
      timer = setTimeout(() => silent.abort(), SILENCE);
      if (line.startsWith("data:")) yield JSON.parse(line.slice(5));
    }
  } catch (error) {
    if (error instanceof RequestError || signal.aborted) throw error;
    throw new RequestError(0, null);
  } finally {
    clearTimeout(timer);
    silent.abort();
  }
}

function pause(milliseconds, signal) {
  return new Promise((go) => {
    const timer = setTimeout(go, milliseconds);
    signal.addEventListener("abort", () => (clearTimeout(timer), go()), { once: true });
    addEventListener("online", () => (clearTimeout(timer), go()), { once: true, signal });
  });
}
