// @ts-check
// The turns before a question.

/** @typedef {{role: "user" | "assistant", content: string}} Turn */

/**
 * What is sent: the question alone, or all turns.
 * @param {Turn[]} turns
 * @param {string} question
 * @returns {string | Turn[]}
 */
export function inputOf(turns, question) {
  return turns.length === 0 ? question : [...turns, { role: "user", content: question }];
}

/**
 * The turns after a race was asked `input` and replied `reply`.
 * @param {string | Turn[]} input
 * @param {string} reply
 * @returns {Turn[]}
 */
export function turnsAfter(input, reply) {
  const before = typeof input === "string" ? [{ role: /** @type {const} */ ("user"), content: input }] : input;
  return [...before, { role: "assistant", content: reply }];
}

/**
 * The last question of an input.
 * @param {string | Turn[]} input
 */
export function questionOf(input) {
  return typeof input === "string" ? input : (input.at(-1)?.content ?? "");
}
