// The calls of tools, each in its lane by time. Equal calls of branches are one execution, and one
// lane.

import { byId, make, setProperty, toggle, write } from "./elements.js";
import { called, count, outcomeWord, seconds } from "./words.js";

/** Lanes in the page at a time. */
const MOST = 48;
/** Characters of what was called with, or given back, in a lane. */
const SHOWN = 160;

/**
 * Calls by what was called, in the order of the first; each with those of its branches.
 * @param {any} race
 * @returns {{name: string, arguments: string, made: {branch: number, call: any}[]}[]}
 */
export function executions(race) {
  const found = new Map();
  for (const branch of race.branches.values()) {
    for (const call of branch.calls) {
      const key = `${call.name} ${call.arguments}`;
      const known = found.get(key);
      const made = { branch: branch.index, call };
      if (known) known.made.push(made);
      else found.set(key, { name: call.name, arguments: call.arguments, made: [made] });
    }
  }
  const first = ({ made }) => Math.min(...made.map(({ call }) => call.from));
  return [...found.values()].sort((a, b) => first(a) - first(b));
}

export class ToolLanes {
  #section = byId("tools");
  #list = byId("tool-lanes");
  #more = byId("tools-more");
  #lanes = []; // in order
  #stamp = "";

  /** `end` is what the right end of the scale of time stands for, in seconds. */
  draw(race, now, end) {
    let calls = 0;
    for (const branch of race.branches.values()) calls += branch.calls.length;
    toggle(this.#section, "hidden", calls === 0);
    setProperty(this.#list, "--now", calls === 0 ? null : Math.min(1, now / end).toFixed(4));
    const stamp = calls === 0 ? "" : this.#stampOf(race, end);
    if (stamp === this.#stamp) return;
    this.#stamp = stamp;
    const all = calls === 0 ? [] : executions(race);
    const shown = all.slice(0, MOST);
    while (this.#lanes.length > shown.length) this.#lanes.pop().element.remove();
    shown.forEach((execution, place) => {
      this.#lanes[place] ??= this.#add();
      this.#lanes[place].draw(execution, end, race.outcome?.at ?? null);
    });
    toggle(this.#more, "hidden", all.length <= MOST);
    write(this.#more, `${count(all.length - shown.length)} more calls have no lane here.`);
  }

  #stampOf(race, end) {
    let stamp = `${race.raceId} ${end}`;
    for (const branch of race.branches.values()) {
      for (const call of branch.calls) stamp += ` ${call.call}${call.outcome ?? ""}`;
    }
    return `${stamp} ${race.outcome?.at ?? ""}`;
  }

  #add() {
    const lane = new ToolLane();
    this.#list.append(lane.element);
    return lane;
  }
}

class ToolLane {
  #name = make("code", "called");
  #rule = make("span", "rule");
  #told = make("span", "told");

  constructor() {
    this.#name.dir = "auto";
    this.#told.dir = "auto";
    const track = make("span", "track", this.#rule);
    track.setAttribute("aria-hidden", "true");
    this.element = make("li", "tool-lane", this.#name, track, this.#told);
  }

  /** `over`: when the race ended, in seconds; null: it runs. */
  draw({ name, arguments: given, made }, end, over) {
    const ran = theRun(made, over);
    const share = (at) => Math.min(1, Math.max(0, at / end)).toFixed(4);
    setProperty(this.#rule, "--from", share(ran.from));
    setProperty(this.#rule, "--to", ran.to === null ? null : share(ran.to));
    this.element.dataset.outcome = ran.to === null ? "waits" : ran.outcome;
    write(this.#name, called(name, given).slice(0, SHOWN));
    const told = toldOf(ran, made);
    write(this.#told, told);
    this.element.title = told;
  }
}

/** The call that was run, for those that are equal to it; what is heard of after its race, never. */
function theRun(made, over) {
  const calls = made.map(({ call }) => call);
  // One that was cut waits for nothing any more, though others do.
  const lasting = calls.filter(({ outcome }) => outcome !== "cancelled");
  const own = lasting.find(({ shared }) => !shared) ?? lasting[0] ?? calls[0];
  const { from, to, outcome, result } = own;
  if (outcome === null && over !== null) return { from, to: over, outcome: "cancelled", result: null };
  return { from, to, outcome, result };
}

function toldOf({ from, to, outcome, result }, made) {
  const branches = [...new Set(made.map(({ branch }) => branch + 1))];
  const listed = branches.length > 4 ? `${branches.length} branches` : branches.join(", ");
  const who = branches.length === 1 ? `branch ${listed}` : branches.length > 4 ? listed : `branches ${listed}`;
  if (to === null) return `runs, for ${who}`;
  const took = `${seconds(to - from)}, for ${who}`;
  if (outcome === "returned" && result !== null) return `${result.slice(0, SHOWN)} (${took})`;
  const why = result === null ? "" : `: ${result.slice(0, SHOWN)}`;
  return `${outcomeWord(outcome)}${why} (${took})`;
}
