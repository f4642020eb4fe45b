// @ts-check
// By what the answer came before another one that has as many votes.

import { readable } from "./words.js";

/** @import { Race } from "./state.js" */

/** Weights that are no further apart are equal. */
const SAME = 1e-9;

/**
 * A sentence where votes alone do not say why the leader leads; empty: they do.
 * @param {Race} race
 */
export function tieBreak(race) {
  const { leader, votes, forcedVotes, weights } = race;
  if (leader === null) return "";
  const finished = Object.values(votes).some((count) => count > 0);
  const counts = finished ? votes : forcedVotes;
  const own = counts[leader] ?? 0;
  const rivals = Object.keys(counts).filter((answer) => answer !== leader && counts[answer] >= own);
  if (own === 0 || rivals.length === 0) return "";
  const rival = rivals.reduce((a, b) => ((weights[b] ?? 0) > (weights[a] ?? 0) ? b : a));
  const told = `${own} to ${counts[rival]} with ${readable(rival)}`;
  const weighs = [leader, rival].map((answer) => weights[answer] ?? 0);
  if (weighs[0] > weighs[1] + SAME) {
    const [more, less] = weighs.map((weight) => weight.toFixed(2));
    const votesTold = counts[rival] === own ? `A tie in votes, ${told}` : `In votes ${told}`;
    return `${votesTold}: it leads by weight, ${more} to ${less}.`;
  }
  if (counts[rival] > own) return `In votes ${told}: the strategy goes by more than votes.`;
  const equal = rivals.length > 1 ? `A tie of ${rivals.length + 1} answers` : `A tie, ${told}`;
  const asked = finished ? (forcedVotes[leader] ?? 0) : 0;
  if (finished && rivals.every((answer) => asked > (forcedVotes[answer] ?? 0))) {
    return `${equal}: forced answers broke it.`;
  }
  const first = cameIn(race, leader, finished);
  const wasFirst = rivals.every((answer) => first <= cameIn(race, answer, finished));
  return `${equal}: ${wasFirst ? "the first of them to come in counts" : "the strategy broke it"}.`;
}

/**
 * When an answer was first given, in seconds.
 * @param {Race} race
 * @param {string} answer
 * @param {boolean} finished by a branch that came to it by itself
 */
function cameIn(race, answer, finished) {
  const giving = [...race.branches.values()].filter(
    (branch) => branch.answer === answer && (branch.status === "finished") === finished,
  );
  return Math.min(...giving.map(({ endedAt }) => endedAt ?? Infinity));
}
