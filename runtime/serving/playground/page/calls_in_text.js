// @ts-check
// Calls of tools in a text, without the marks around them. Of the formats that models write them in
// the most common ones are known; the marks of others stay as they were written.

import { called } from "./words.js";

/** What stands after the results of calls, as in runtime/agents/tool_engine.py. */
const RESULTS_END = "\x1d";
const OPEN = "<tool_call>";
const CLOSE = "</tool_call>";

/** @typedef {{kind: "text" | "call" | "result", text: string}} Piece */

/**
 * A text in pieces: what was written, calls as `add(a: 1, b: 2)`, and what they gave back.
 * @param {string} text
 * @returns {Piece[]}
 */
export function pieces(text) {
  if (!text.includes(OPEN) && !text.includes(RESULTS_END)) return text ? [{ kind: "text", text }] : [];
  /** @type {Piece[]} */
  const found = [];
  let at = 0;
  while (at < text.length) {
    const open = text.indexOf(OPEN, at);
    const close = open < 0 ? -1 : text.indexOf(CLOSE, open);
    add(found, text.slice(at, close < 0 ? text.length : open));
    if (close < 0) break;
    found.push({ kind: "call", text: callOf(text.slice(open + OPEN.length, close).trim()) });
    at = close + CLOSE.length;
  }
  return found;
}

/**
 * The end of a text that is still written, in a line: arrows before calls and results, `…` for calls
 * of which only a part is there.
 * @param {string} text
 */
export function withCalls(text) {
  if (!text.includes("tool_call>") && !text.includes(RESULTS_END)) return text;
  const [open, close] = [text.indexOf(OPEN), text.indexOf(CLOSE)];
  const whole = close >= 0 && (open < 0 || close < open) ? `…${text.slice(close + CLOSE.length)}` : text;
  const said = pieces(whole).map(({ kind, text: part }) =>
    kind === "text" ? part : ` ${kind === "call" ? "→" : "←"} ${part} `,
  );
  return said.join("").replace(/<tool_call>[^]*$/, " → …");
}

/**
 * @param {Piece[]} found
 * @param {string} text between two calls
 */
function add(found, text) {
  let rest = text.replaceAll(RESULTS_END, "");
  const called = namesBefore(found);
  for (;;) {
    // As in runtime/agents/tool_engine.py: a line of its own for each result.
    const [whole, name] = /^\s*\[([^\]\n]{1,128})\] [^\n]*\n?/.exec(rest) ?? [];
    if (whole === undefined || !called.has(name)) break;
    found.push({ kind: "result", text: whole.trim() });
    rest = rest.slice(whole.length);
  }
  // White space alone is left out: calls stand in lines of their own.
  if (rest.trim()) found.push({ kind: "text", text: rest });
}

/**
 * What was called just before: models may make several calls at a time.
 * @param {Piece[]} found
 */
function namesBefore(found) {
  const names = new Set();
  for (let place = found.length - 1; found[place]?.kind === "call"; place -= 1) {
    names.add(found[place].text.split("(", 1)[0]);
  }
  return names;
}

/** @param {string} inside of its marks */
function callOf(inside) {
  try {
    const { name, arguments: given = {} } = JSON.parse(inside);
    if (typeof name === "string") {
      return called(name, typeof given === "string" ? given : JSON.stringify(given));
    }
  } catch {
    // It is written in another way.
  }
  const name = /^<function=([^>]+)>/.exec(inside)?.[1] ?? /^([\w.-]+)\s*<arg_key>/.exec(inside)?.[1];
  if (name === undefined) return inside;
  const pattern =
    /<parameter=([^>]+)>\n?([^]*?)\n?<\/parameter>|<arg_key>([^]*?)<\/arg_key>\s*<arg_value>([^]*?)<\/arg_value>/g;
  const told = [...inside.matchAll(pattern)].map(([, a, b, c, d]) => [a ?? c, b ?? d]);
  return called(name, JSON.stringify(Object.fromEntries(told)));
}
