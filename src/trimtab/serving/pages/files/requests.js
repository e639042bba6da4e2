// What goes to the server, and what comes back: documents, streams, and errors in plain words.

import { has, t } from "./language.js";

/** A request that the server did not answer; `title` and `advice` are in plain words, the message is the server's. */
export class RequestError extends Error {
  constructor(status, told, { id = null, wait = null } = {}) {
    super(told?.message ?? t("error.no-reason"));
    this.status = status;
    this.id = id;
    this.wait = wait;
    this.param = told?.param ?? null;
    this.own = told !== null && told !== undefined; // whether the message is the server's
  }

  get title() {
    return t(has(`error.${this.status}`) ? `error.${this.status}` : this.status >= 500 ? "error.failed" : "error.refused");
  }

  get advice() {
    if (this.status === 429 && this.wait) return t("advice.wait", { n: Number(this.wait) });
    return has(`advice.${this.status}`) ? t(`advice.${this.status}`) : null;
  }
}

/** The server could not be reached at all. */
export function unreachable() {
  const error = new RequestError(0, { message: t("error.no-answer") });
  error.own = false;
  return error;
}

/** A response, if it is one that says yes. */
export async function fetched(path, options, key) {
  const headers = { ...options.headers, ...(key ? { authorization: `Bearer ${key}` } : {}) };
  let response;
  try {
    response = await fetch(new URL(path, document.baseURI), { ...options, headers, credentials: "omit", redirect: "error" });
  } catch (error) {
    throw error.name === "AbortError" ? error : unreachable();
  }
  if (response.ok) return response;
  const body = await response.json().catch(() => null);
  const wait = response.headers.get("retry-after");
  throw new RequestError(response.status, body?.error, { id: response.headers.get("x-request-id"), wait });
}

/** A JSON document of the server. */
export async function read(path, key) {
  return (await fetched(path, {}, key)).json();
}

/** The options of a request with a JSON body. */
export function posting(body, more = {}) {
  return { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body), ...more };
}

/** The lines of a streamed response. */
export async function* lines(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      let step;
      try {
        step = await reader.read();
      } catch (error) {
        throw error.name === "AbortError" ? error : unreachable();
      }
      if (step.done) return;
      const whole = (rest + step.value).split("\n");
      rest = whole.pop();
      yield* whole;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
