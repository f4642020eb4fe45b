// @ts-check
// In which order branches are shown.

import { isActive, ranking } from "./state.js";

/** @import { Branch, Race } from "./state.js" */

/**
 * Of all branches, by what matters to a viewer: those that answered what leads, those with other answers,
 * those that run, those that ended without one, those that were cut, those that were lost.
 * @param {Race} race
 * @returns {number[]} indices
 */
export function byWhatMatters(race) {
  const places = new Map(ranking(race).map((answer, place) => [answer, place]));
  /** @type {[number[], number][]} */
  const keyed = [...race.branches.values()].map((branch) => [place(branch, race, places), branch.index]);
  keyed.sort(([a], [b]) => {
    const at = a.findIndex((value, i) => value !== b[i]);
    return at < 0 ? 0 : a[at] - b[at];
  });
  return keyed.map(([, index]) => index);
}

/**
 * @param {Race} race
 * @returns {number[]} indices
 */
export function byNumber(race) {
  return [...race.branches.keys()].sort((a, b) => a - b);
}

/**
 * @param {Branch} branch
 * @param {Race} race
 * @param {Map<string, number>} places
 * @returns {number[]}
 */
function place(branch, race, places) {
  const { index, answer, status } = branch;
  const ended = branch.endedAt ?? 0;
  if (isActive(branch)) return [3, 0, 0, index];
  if (status === "failed") return [6, 0, 0, index];
  // The longest first: it was the nearest to its end.
  if (status === "cancelled") return [5, -branch.tokens, 0, index];
  if (answer === null) return [4, 0, ended, index];
  if (answer !== race.leader) return [2, places.get(answer) ?? 0, ended, index];
  return [status === "finished" ? 0 : 1, 0, ended, index];
}

/**
 * The branch whose text speaks for the race: the first that gave the leading answer, by itself if
 * one did; while nothing leads, the one that is furthest. Null: there is none.
 * @param {Race} race
 * @param {number | null} held a branch that is shown already, and stays so for as long as it runs
 * @returns {Branch | null}
 */
export function leadingBranch(race, held = null) {
  const branches = [...race.branches.values()];
  if (race.leader !== null) {
    const first = byWhatMatters(race).map((index) => race.branches.get(index));
    const found = first.find((branch) => branch?.answer === race.leader);
    if (found) return found;
  }
  const running = branches.filter(isActive);
  const kept = running.find(({ index }) => index === held);
  if (kept) return kept;
  /** @type {Branch | null} */
  let furthest = null;
  for (const branch of running.length > 0 ? running : branches) {
    if (furthest === null || branch.tokens > furthest.tokens) furthest = branch;
  }
  return furthest;
}

/**
 * Whether no branch of the race wrote more tokens.
 * @param {Race} race
 * @param {Branch} branch
 */
export function isFurthest(race, branch) {
  return [...race.branches.values()].every(({ tokens }) => tokens <= branch.tokens);
}
