// @ts-check
// What a branch did besides writing its reply: where it thought, and when it called tools. Shown
// below its bar, on the bar's own scale.

import { isActive } from "./state.js";
import { parts } from "./thinking.js";

/** @import { Branch, Race } from "./state.js" */
/**
 * From and to in the unit of the bar, tokens or seconds; `to` is null for what still goes on.
 * @typedef {{kind: "thought" | "call" | "waits", from: number, to: number | null}} Act
 */

/** Acts of a branch that are shown. */
const MOST = 40;

/**
 * @param {Branch} branch
 * @param {Race} race
 * @param {boolean} byTokens else by time
 * @returns {Act[]}
 */
export function actsOf(branch, race, byTokens) {
  return [...thoughts(branch, race, byTokens), ...calls(branch, race, byTokens)].slice(0, MOST);
}

/**
 * The call that a branch waits for; null: it waits for none.
 * @param {Branch} branch
 */
export function openCall(branch) {
  const last = branch.calls.at(-1);
  return isActive(branch) && last && last.outcome === null ? last : null;
}

/**
 * Whether the end of what a branch has written is a thought.
 * @param {Branch} branch
 * @param {Race} race
 */
export function thinks(branch, race) {
  return race.thinking !== null && parts(branch.own.text, race.thinking).at(-1)?.kind === "thought";
}

/**
 * Where in the text it thinks is known, and when only as if it had written at an even pace.
 * @param {Branch} branch
 * @param {Race} race
 * @param {boolean} byTokens
 * @returns {Act[]}
 */
function thoughts(branch, race, byTokens) {
  const text = branch.own.text;
  if (race.thinking === null || text.length === 0) return [];
  const from = byTokens ? 0 : (branch.startedAt ?? 0);
  const until = byTokens ? branch.own.tokens : (branch.endedAt ?? race.at);
  const each = (until - from) / text.length;
  return parts(text, race.thinking)
    .filter(({ kind }) => kind === "thought")
    .map((part) => ({
      kind: "thought",
      from: from + part.at * each,
      to: from + (part.at + part.text.length) * each,
    }));
}

/**
 * @param {Branch} branch
 * @param {Race} race
 * @param {boolean} byTokens
 * @returns {Act[]}
 */
function calls(branch, race, byTokens) {
  const over = branch.endedAt ?? race.outcome?.at ?? null;
  return branch.calls.map(({ outcome, tokens, from, to }) => ({
    kind: outcome === null && over === null ? "waits" : "call",
    from: byTokens ? tokens : from,
    to: byTokens ? tokens : (to ?? over),
  }));
}
