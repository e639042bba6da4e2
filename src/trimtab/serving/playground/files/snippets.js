// The request on the page as code; the key never stands in it.

import { route } from "./stream.js";

const INDENT = "    ";
const PYTHON = { true: "True", false: "False", null: "None" };
const JSON_WORDS = { true: "true", false: "false", null: "null" };

/**
 * A curl command.
 * @param {string} url Of `/v1`.
 * @param {object} body
 * @param {boolean} keyed Whether the server asks for a key.
 */
export function curl(url, body, keyed) {
  return [
    `curl ${quoted(`${url}/${route(body)}`)}`,
    ...(keyed ? ['-H "Authorization: Bearer $TRIMTAB_API_KEY"'] : []),
    "-H 'Content-Type: application/json'",
    `-d ${quoted(literal(body, JSON_WORDS))}`,
  ].join(" \\\n  ");
}

/** The same by the `openai` package. */
export function python(url, body, keyed) {
  const { steering, ...fields } = body;
  const named = Object.entries(fields).map(([name, value]) => `${INDENT}${name}=${literal(value, PYTHON, 1)},`);
  if (steering) named.push(`${INDENT}extra_body=${literal({ steering }, PYTHON, 1)},`);
  return [
    ...(keyed ? ["import os", ""] : []),
    "from openai import OpenAI",
    "",
    `client = OpenAI(base_url=${literal(url, PYTHON)}, api_key=${keyed ? 'os.environ["TRIMTAB_API_KEY"]' : '"none"'})`,
    `answer = client.${route(body).replace("/", ".")}.create(`,
    ...named,
    ")",
    `print(answer.choices[0].${"messages" in body ? "message.content" : "text"})`,
    "print(answer.trimtab)  # what was applied, and what it did",
  ].join("\n");
}

/** A word for the shell that means itself. */
function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** A JSON value, in lines where one is too long; Python differs from JSON by three words. */
function literal(value, words, depth = 0) {
  if (typeof value !== "object" || value === null) return words[value] && typeof value !== "string" ? words[value] : JSON.stringify(value);
  const entries = Array.isArray(value)
    ? value.map((one) => literal(one, words, depth + 1))
    : Object.entries(value).map(([name, one]) => `${JSON.stringify(name)}: ${literal(one, words, depth + 1)}`);
  const [open, close] = Array.isArray(value) ? "[]" : "{}";
  const line = `${open}${entries.join(", ")}${close}`;
  if (line.length <= 80 && !line.includes("\n")) return line;
  const inner = `\n${INDENT.repeat(depth + 1)}`;
  return `${open}${inner}${entries.join(`,${inner}`)}\n${INDENT.repeat(depth)}${close}`;
}
