// @ts-check
// The events of a race, kept to see it again from any moment.

import { apply, newRace } from "./state.js";

/** @import { Race, RaceEvent } from "./state.js" */

/** Pieces of one branch's text that came within so many seconds are kept as one. */
const JOINED = 0.015;

export class Recording {
  /** @type {(RaceEvent & {at: number})[]} */
  #events = [];
  /**
   * By branch: the piece that the next one may be joined to.
   * @type {Map<number, RaceEvent & {at: number}>}
   */
  #open = new Map();

  /**
   * Keep an event.
   * @param {RaceEvent} event
   * @param {number} at seconds since the start, for those that do not say it
   */
  add(event, at) {
    const delta = event.type === "frontrunner.branch.delta";
    const before = delta ? this.#open.get(event.branch) : undefined;
    if (before && before.forced === event.forced && (event.at ?? at) - before.at < JOINED) {
      before.text += event.text;
      before.tokens += event.tokens;
      return;
    }
    // Never before the event before it: a moment has seen all that came until then.
    const kept = { ...event, at: Math.max(event.at ?? at, this.duration) };
    this.#events.push(kept);
    if (delta) this.#open.set(event.branch, kept);
    else this.#open.clear();
  }

  /** All that it keeps, as JSON has it. */
  get events() {
    return this.#events;
  }

  /** Seconds from the start to the last event. */
  get duration() {
    return this.#events.at(-1)?.at ?? 0;
  }

  /**
   * Take `race`, which has seen `count` events, on to `at` seconds after its start.
   * @param {Race} race
   * @param {number} count
   * @param {number} at
   */
  forward(race, count, at) {
    const until = Math.max(at, this.#events[0].at); // the start is always seen
    while (count < this.#events.length && this.#events[count].at <= until) {
      apply(race, this.#events[count]);
      count += 1;
    }
    return { race, count };
  }
}

/** Shows a recording at any moment, or at the pace at which it happened. */
export class Player {
  /** @type {Recording} */
  #recording;
  /** @type {(race: Race, at: number, playing: boolean) => void} */
  #show;
  #race = newRace();
  #count = 0;
  /** @type {number | null} */
  #frame = null;
  at = 0; // seconds
  speed = 1; // seconds of the race in one of the viewer's

  /**
   * @param {Recording} recording
   * @param {(race: Race, at: number, playing: boolean) => void} show draws a moment
   */
  constructor(recording, show) {
    this.#recording = recording;
    this.#show = show;
    this.at = recording.duration;
  }

  get duration() {
    return this.#recording.duration;
  }

  get playing() {
    return this.#frame !== null;
  }

  /** @param {number} at seconds since the start */
  seek(at) {
    const back = at < this.at || this.#count === 0;
    this.at = Math.min(Math.max(at, 0), this.duration);
    const [race, count] = back ? /** @type {const} */ ([newRace(), 0]) : [this.#race, this.#count];
    const reached = this.#recording.forward(race, count, this.at);
    this.#race = reached.race;
    this.#count = reached.count;
    if (back) for (const index of this.#race.branches.keys()) this.#race.changed.add(index);
    this.#show(this.#race, this.at, this.playing);
  }

  play() {
    if (this.playing) return;
    const from = this.at >= this.duration ? 0 : this.at;
    this.seek(from);
    let at = from;
    let before = performance.now();
    const step = () => {
      const now = performance.now();
      at += ((now - before) / 1000) * this.speed; // which may change on the way
      before = now;
      this.#frame = at < this.duration ? requestAnimationFrame(step) : null;
      this.seek(at);
    };
    this.#frame = requestAnimationFrame(step);
    this.#show(this.#race, this.at, true);
  }

  pause() {
    if (this.#frame === null) return;
    cancelAnimationFrame(this.#frame);
    this.#frame = null;
    this.#show(this.#race, this.at, false);
  }
}
