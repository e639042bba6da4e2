// A streamed answer of the server, event by event.

import { fetched, lines, posting, RequestError, unreachable } from "../pages/requests.js";

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
  const options = posting({ ...body, stream: true, stream_options: { include_usage: true } }, { signal });
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
