// @ts-check
// The scale of time: from the start to the deadline, or to the decision where that is looked at.

/** @import { Race } from "./state.js" */

/** What is left free after the decision, as a share. */
const MARGIN = 0.08;
/** A replay takes so long at least, in seconds: a race may be over in half of one. */
const WATCHED = 6;
/** How fast a replay may be. */
export const SPEEDS = [4, 2, 1, 0.5, 0.25, 0.1, 0.05, 0.02];

/**
 * Seconds at the right end.
 * @param {Race} race
 * @param {number} now seconds since the start
 * @param {boolean} zoomed to the decision, or to now while there is none
 * @param {number | null} end of the race where it is known, in a replay
 */
export function scaleEnd(race, now, zoomed, end = null) {
  const deadline = race.deadline ?? 1;
  if (!zoomed) return deadline;
  const last = race.outcome?.at ?? end;
  const wanted = (last ?? now) * (1 + MARGIN);
  if (last !== null) return Math.min(deadline, Math.max(wanted, 0.001));
  // In steps while it runs: it would never stand still.
  return Math.min(deadline, 2 ** Math.ceil(Math.log2(Math.max(wanted, 0.25))));
}

/**
 * The speed at which a race is replayed at first: its own, or slow enough to be followed.
 * @param {number} duration seconds
 */
export function replaySpeed(duration) {
  return SPEEDS.find((speed) => speed <= 1 && duration / speed >= WATCHED) ?? SPEEDS.at(-1) ?? 1;
}
