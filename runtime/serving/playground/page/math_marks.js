// @ts-check
// Formulas in a text, before Markdown is read: what stands in them is not Markdown.

/** Around the number of a formula, in the text that Markdown reads. From Unicode's private area. */
export const OPEN = "\uE000";
export const CLOSE = "\uE001";
/** Formulas that are taken out of one text; the others stay as they were written. */
const MOST = 400;
/** Characters of one formula. */
const LONGEST = 2000;

/** @typedef {{source: string, tex: string, display: boolean}} Formula `source`: with its marks */

/**
 * The text with numbers in place of formulas, and the formulas.
 * @param {string} text
 * @returns {{text: string, formulas: Formula[]}}
 */
export function takeFormulas(text) {
  /** @type {Formula[]} */
  const formulas = [];
  let out = "";
  let at = 0;
  const clean = text.replaceAll(OPEN, "\uFFFD").replaceAll(CLOSE, "\uFFFD");
  while (at < clean.length) {
    const next = nextMark(clean, at);
    if (next < 0 || formulas.length >= MOST) break;
    out += clean.slice(at, next);
    const code = codeAt(clean, next);
    const formula = code ? null : formulaAt(clean, next);
    const taken = code || formula?.source || clean.slice(next, next + (clean[next] === "\\" ? 2 : 1));
    out += formula ? `${OPEN}${formulas.push(formula) - 1}${CLOSE}` : taken;
    at = next + taken.length;
  }
  return { text: out + clean.slice(at), formulas };
}

/**
 * Where a formula or code may begin.
 * @param {string} text
 * @param {number} from
 */
function nextMark(text, from) {
  const pattern = /[$`\\]|~~~/g;
  pattern.lastIndex = from;
  return pattern.exec(text)?.index ?? -1;
}

/**
 * Code that begins at `at`, with its fences; empty: none does.
 * @param {string} text
 * @param {number} at
 */
function codeAt(text, at) {
  const fence = /^(`+|~~~+)/.exec(text.slice(at, at + 200))?.[0];
  if (!fence) return "";
  if (fence.length >= 3) {
    const end = text.indexOf(`\n${fence}`, at + fence.length);
    if (end >= 0) return text.slice(at, end + 1 + fence.length);
    return text.slice(at); // it is still being written
  }
  const end = text.indexOf(fence, at + fence.length);
  return end < 0 ? fence : text.slice(at, end + fence.length);
}

/**
 * @param {string} text
 * @param {number} at
 * @returns {Formula | null}
 */
function formulaAt(text, at) {
  for (const [open, close, display] of /** @type {[string, string, boolean][]} */ ([
    ["$$", "$$", true],
    ["\\[", "\\]", true],
    ["\\(", "\\)", false],
  ])) {
    if (!text.startsWith(open, at)) continue;
    const near = text.slice(at, at + LONGEST);
    const end = near.indexOf(close, open.length);
    if (end < 0) return null;
    const tex = near.slice(open.length, end);
    return tex.trim() ? { source: near.slice(0, end + close.length), tex, display } : null;
  }
  if (text[at] === "$") return dollars(text, at);
  return text.startsWith("\\boxed{", at) ? boxed(text, at) : null;
}

/**
 * As in Pandoc: no space inside of the marks, and no digit after them, so that prices are none.
 * @param {string} text
 * @param {number} at
 * @returns {Formula | null}
 */
function dollars(text, at) {
  const line = text.slice(at, at + LONGEST).split(/\n\s*\n/, 1)[0];
  const found = /^\$(?=\S)((?:[^$\\]|\\.)*?[^\s\\$]|\S)\$(?!\d)/s.exec(line);
  return found ? { source: found[0], tex: found[1], display: false } : null;
}

/**
 * A box outside of a formula, as models write their answers.
 * @param {string} text
 * @param {number} at
 * @returns {Formula | null}
 */
function boxed(text, at) {
  let depth = 0;
  for (let end = at; end < Math.min(text.length, at + LONGEST); end += 1) {
    if (text[end] === "\\" && end > at) end += 1;
    else if (text[end] === "{") depth += 1;
    else if (text[end] === "}" && (depth -= 1) === 0) {
      const source = text.slice(at, end + 1);
      return { source, tex: source, display: false };
    }
  }
  return null;
}
