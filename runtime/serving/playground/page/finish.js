// @ts-check
// Where branches are expected to finish, in tokens.
//
// Events do not say what the server expects, so the page goes by what it has seen: the branches of
// this race that ended by themselves, and before any did, those of earlier races of this page.

/** @import { Branch, Race } from "./state.js" */

/** Tokens on the scale while nothing is known. */
const LEAST = 64;
/** Lengths of earlier races that are kept. */
const KEPT = 64;

export class Finishes {
  /** @type {number[]} */
  #earlier = [];

  /**
   * The median length of a branch that ends by itself; null: nobody knows.
   * @param {Race} race
   * @returns {number | null}
   */
  expected(race) {
    const own = lengths(race);
    return median(own.length > 0 ? own : this.#earlier);
  }

  /**
   * What the bars' right end stands for, so that all of them and the expected finish have room.
   * @param {Race} race
   */
  scale(race) {
    let most = LEAST;
    for (const branch of race.branches.values()) most = Math.max(most, length(branch));
    // In steps of an eighth: bars do not shrink with every token.
    const step = 2 ** Math.floor(Math.log2(most)) / 8;
    return Math.max(Math.ceil((most + 1) / step) * step, (this.expected(race) ?? 0) * 1.2);
  }

  /**
   * Take in a race that has ended.
   * @param {Race} race
   */
  remember(race) {
    this.#earlier = [...this.#earlier, ...lengths(race)].slice(-KEPT);
  }
}

/**
 * Of all its text, what it took over included.
 * @param {Branch} branch
 */
export function length(branch) {
  return branch.tokens + branch.inheritedTokens;
}

/** @param {Race} race */
function lengths(race) {
  return [...race.branches.values()].filter((b) => b.status === "finished").map(length);
}

/** @param {number[]} values */
function median(values) {
  if (values.length === 0) return null;
  const sorted = values.toSorted((a, b) => a - b);
  return (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;
}
