// @ts-check
// What a branch thought, and what it said; as in runtime/thinking/format.py.

/**
 * How thinking is marked, as `frontrunner.race.started` says it.
 * @typedef {{start: string, end: string, channels?: boolean, position?: string}} ThinkingFormat
 * @typedef {{kind: "thought" | "said", text: string, at: number}} Part `at`: where it begins in the text
 */

const MESSAGE = "<|message|>";
const CHANNEL = /<\|channel\|>\s*(\w+)/g;
const MESSAGE_ENDS = ["<|end|>", "<|return|>", "<|call|>", "<|start|>", "<|channel|>"];

/**
 * `text` in parts, without marks.
 * @param {string} text
 * @param {ThinkingFormat | null} format null: nobody said how, or nothing thinks
 * @returns {Part[]}
 */
export function parts(text, format) {
  if (!format) return text ? [{ kind: "said", text, at: 0 }] : [];
  return (format.channels ? ofChannels(text) : ofMarks(text, format)).filter((part) => part.text.trim());
}

/**
 * @param {string} text
 * @param {ThinkingFormat} format
 * @returns {Part[]}
 */
function ofMarks(text, { start, end, position }) {
  /** @type {Part[]} */
  const found = [];
  let at = 0;
  const firstStart = text.indexOf(start);
  const firstEnd = text.indexOf(end);
  // An end without a start: it began in the prompt.
  let thinks =
    position === "inside" || (firstEnd >= 0 && (firstStart < 0 || firstEnd < firstStart));
  if (thinks && firstStart >= 0 && !text.slice(0, firstStart).trim()) at = firstStart + start.length;
  while (at < text.length) {
    const mark = thinks ? end : start;
    const next = text.indexOf(mark, at);
    const until = next < 0 ? text.length : next;
    found.push({ kind: thinks ? "thought" : "said", text: text.slice(at, until), at });
    if (next < 0) break;
    at = next + mark.length;
    thinks = !thinks;
  }
  return found;
}

/**
 * @param {string} text
 * @returns {Part[]}
 */
function ofChannels(text) {
  const marks = [...text.matchAll(CHANNEL)];
  if (marks.length === 0) return [{ kind: "said", text, at: 0 }];
  return marks.map((mark, place) => {
    const limit = marks[place + 1]?.index ?? text.length;
    const header = text.indexOf(MESSAGE, mark.index);
    const at = header < 0 || header > limit ? limit : header + MESSAGE.length;
    const ends = MESSAGE_ENDS.map((end) => text.indexOf(end, at)).filter((i) => i >= 0);
    const until = Math.min(limit, ...ends);
    return { kind: mark[1] === "analysis" ? "thought" : "said", text: text.slice(at, until), at };
  });
}

/**
 * Where what is said begins; the text's length while it only thinks; 0 where nothing thinks.
 * @param {string} text
 * @param {ThinkingFormat | null} format
 */
export function replyStart(text, format) {
  if (!format) return 0;
  const found = parts(text, format);
  if (!found.some(({ kind }) => kind === "thought")) return 0;
  return found.findLast(({ kind }, place) => kind === "said" && place > 0)?.at ?? text.length;
}
