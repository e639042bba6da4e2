// What goes to the server, and what comes back: lists, streamed answers, and errors in plain words.

const TITLES = {
  400: "The server cannot do this",
  401: "The key is missing or not known",
  403: "The key does not allow this",
  404: "The server does not have this",
  413: "The conversation is too long to send",
  429: "The server is asked too much at the moment",
  503: "The engine is not available",
  504: "The answer took too long",
};
const ADVICE = {
  401: "Type in a key above and choose “Use key”.",
  403: "This page needs a key with the scopes read (for the list of steerings) and infer (for answers).",
  413: "Clear the conversation.",
  503: "It starts again by itself; try once more in a few seconds.",
};

/** A request that the server did not answer; `title` and `advice` are in plain words, the message is the server's. */
export class RequestError extends Error {
  constructor(status, told, { id = null, wait = null } = {}) {
    super(told?.message ?? "The server gave no reason.");
    this.status = status;
    this.title = TITLES[status] ?? (status >= 500 ? "The server failed" : "The server refused the request");
    this.advice = status === 429 && wait ? `Try again in ${wait} ${wait === "1" ? "second" : "seconds"}.` : ADVICE[status] ?? null;
    this.id = id;
    this.param = told?.param ?? null;
  }
}

/** The server could not be reached at all. */
function unreachable() {
  const error = new RequestError(0, { message: "No answer came from the server." });
  error.title = "The server cannot be reached";
  error.advice = "See whether it still runs, then try again.";
  return error;
}

async function fetched(path, options, key) {
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

/** Where a body is sent to: it holds messages, or a text to continue. */
export function route(body) {
  return "messages" in body ? "chat/completions" : "completions";
}

/**
 * The events of a streamed answer.
 * @param {object} body As `/v1/chat/completions` or `/v1/completions` takes it, without what asks for a stream.
 * @param {string} key
 * @param {AbortSignal} signal
 */
export async function* events(body, key, signal) {
  const content = JSON.stringify({ ...body, stream: true, stream_options: { include_usage: true } });
  const options = { method: "POST", headers: { "content-type": "application/json" }, body: content, signal };
  const response = await fetched(`v1/${route(body)}`, options, key);
  for await (const line of lines(response.body)) {
    if (!line.startsWith("data:")) continue;
    const data = line.slice(5).trim();
    if (data === "[DONE]") return;
    const event = JSON.parse(data);
    if (event.error) throw new RequestError(503, event.error, { id: response.headers.get("x-request-id") });
    yield event;
  }
  throw unreachable();
}

async function* lines(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
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
}
