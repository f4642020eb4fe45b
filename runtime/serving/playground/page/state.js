// @ts-check
// What is known of a race, made of its events alone. Nothing here draws.
//
// `RaceState` in runtime/events/fold.py is the same in Python; recorded streams of events hold both
// to the same states.

import { GrowingText } from "./growing_text.js";

/**
 * An event of the websocket, by `type`: its fields are the server's, in runtime/events/types.py.
 * @typedef {{type: string, at?: number} & Record<string, any>} RaceEvent
 * @typedef {{status: string, answer: string | null, text: string, error: any, summary: any,
 *   at: number | undefined}} Outcome
 * @typedef {{call: number | string, name: string, arguments: string, outcome: string | null,
 *   result: string | null, tokens: number, from: number, to: number | null, shared: boolean}} ToolCall
 *   `tokens`: the branch's length when it called; `from`, `to`: seconds; `shared`: with a sibling
 * @typedef {ReturnType<typeof newRace>} Race
 * @typedef {ReturnType<typeof newBranch>} Branch
 */

/** Statuses of a branch that may still change. */
const ACTIVE = new Set(["running", "forcing"]);

export function newRace() {
  return {
    raceId: "",
    at: 0, // seconds since the start, of the last event
    /** @type {number | null} */
    deadline: null, // seconds; null: not begun
    maxBranches: 0, // that run at a time at most
    /** @type {import("./thinking.js").ThinkingFormat | null} */
    thinking: null, // how branches mark what they only think
    /** @type {Map<number, Branch>} */
    branches: new Map(), // by index
    /** @type {Record<string, number>} */
    votes: {}, // finished branches, by answer
    /** @type {Record<string, number>} */
    forcedVotes: {},
    /** @type {Record<string, number>} */
    weights: {}, // of each answer, for the strategy that decides
    /** @type {string | null} */
    leader: null, // the answer that the strategy would decide for now
    /** @type {number | null} */
    calledAt: null, // seconds
    /** @type {Outcome | null} */
    outcome: null,
    away: false, // its events do not come in at the moment
    /** @type {Set<number>} */
    changed: new Set(), // branches to draw again
  };
}

/** @param {RaceEvent} event */
function newBranch(event) {
  return {
    /** @type {number} */
    index: event.branch,
    /** @type {number | null} */
    parent: null,
    inheritedTokens: 0, // not in `tokens`
    status: "running", // also while its forced answer is asked for beside it
    tokens: 0, // generated, the forced answer's included
    /** @type {string | null} */
    answer: null,
    /** @type {string | null} */
    reason: null, // why it was cut or lost
    /** @type {number | null} */
    askedTokens: null, // its length when it was last asked for its answer
    askedLength: 0, // likewise, of its text
    extensions: 0, // how often it was made to go on after its end
    /** @type {{tokens: number, answer: string | null}[]} */
    probes: [],
    /** @type {{tokens: number, score: number | null}[]} */
    scores: [],
    /** @type {ToolCall[]} */
    calls: [], // of tools; without an outcome: it waits for that
    startedAt: event.at,
    /** @type {number | null | undefined} */
    endedAt: null,
    own: new GrowingText(), // what it wrote by itself, after what it took from its parent
    forced: new GrowingText(), // the forcing suffix and what came after it
  };
}

/** @param {Branch} branch */
export function isActive(branch) {
  return ACTIVE.has(branch.status);
}

/**
 * All of its text, what it took from its parent and its forced answer included.
 * @param {Branch} branch
 */
export function wholeText(branch) {
  return branch.own.text + branch.forced.text;
}

/**
 * All answers, best first: the leader, then by weight, finished votes, forced ones, spelling.
 * @param {Race} race
 */
export function ranking(race) {
  const { votes, forcedVotes, weights, leader } = race;
  const answers = Object.keys({ ...votes, ...forcedVotes, ...weights });
  /** @param {string} answer */
  const place = (answer) => {
    const count = votes[answer] ?? 0;
    return [Number(answer === leader), weights[answer] ?? count, count, forcedVotes[answer] ?? 0];
  };
  return answers.sort((a, b) => compare(place(b), place(a)) || (a < b ? -1 : 1));
}

/**
 * Nothing more will be heard of the race, `at` seconds after its start.
 * @param {Race} race
 * @param {number} at
 */
export function lose(race, at) {
  conclude(race, { type: "lost", at, response: { status: "lost", error: null, output: [] } });
}

/**
 * Take in an event of the websocket.
 * @param {Race} race
 * @param {RaceEvent} event
 */
export function apply(race, event) {
  const handler = HANDLERS[event.type];
  if (!handler) return;
  if (typeof event.at === "number") race.at = Math.max(race.at, event.at);
  handler(race, event);
}

/** @type {Record<string, (race: Race, event: RaceEvent) => void>} */
const HANDLERS = {
  "frontrunner.race.started": (race, event) => {
    race.raceId = event.race_id;
    race.deadline = event.deadline;
    race.maxBranches = event.branches;
    race.thinking = event.thinking ?? null;
  },
  "frontrunner.branch.started": (race, event) => {
    const branch = newBranch(event);
    branch.parent = event.parent;
    branch.inheritedTokens = event.inherited_tokens;
    branch.own = inherited(race.branches.get(event.parent), event);
    race.branches.set(event.branch, branch);
    race.changed.add(event.branch);
  },
  "frontrunner.branch.delta": withBranch((branch, event) => {
    if (event.forced) {
      // A forced answer stands after the text as it was when the branch was asked; what was
      // generated since counts nevertheless.
      if (branch.askedTokens !== null && branch.own.length > branch.askedLength) {
        branch.own.cut(branch.askedLength, branch.own.tokens);
      }
      branch.forced.append(event.text, event.tokens);
    } else {
      branch.own.append(event.text, event.tokens);
    }
    count(branch);
  }),
  "frontrunner.branch.forcing": withBranch((branch, event) => {
    branch.askedTokens = event.tokens;
    branch.askedLength = branch.own.length;
    if (event.beside) return;
    branch.status = "forcing"; // it is stopped for that
    branch.endedAt = null;
  }),
  "frontrunner.branch.probed": withBranch((branch, event) => {
    branch.probes.push({ tokens: event.tokens, answer: event.answer });
  }),
  "frontrunner.branch.scored": withBranch((branch, event) => {
    branch.scores.push({ tokens: event.tokens, score: event.score });
  }),
  "frontrunner.branch.extended": withBranch((branch, event) => {
    if (typeof event.kept_tokens === "number" && typeof event.kept_characters === "number") {
      branch.own.cut(branch.own.lengthOf(event.kept_characters), event.kept_tokens);
    }
    branch.own.append(event.text, event.text_tokens ?? 0);
    branch.status = "running";
    branch.endedAt = null;
    branch.answer = null;
    branch.reason = null;
    branch.askedTokens = null;
    branch.extensions += 1;
    count(branch);
  }),
  "frontrunner.tool.called": withBranch((branch, event) => {
    const { call, name, shared = false } = event;
    const told = { call, name, arguments: String(event.arguments ?? ""), outcome: null, result: null };
    branch.calls.push({ ...told, tokens: branch.own.tokens, from: event.at ?? 0, to: null, shared });
  }),
  "frontrunner.tool.returned": withBranch((branch, event) => {
    const made = branch.calls.find((call) => call.call === event.call);
    if (made) Object.assign(made, { outcome: event.outcome, result: event.result, to: event.at ?? 0 });
  }),
  "frontrunner.branch.ended": withBranch((branch, event) => {
    branch.status = event.status;
    branch.answer = event.answer;
    branch.reason = event.reason;
    branch.tokens = event.tokens;
    branch.endedAt = event.at;
  }),
  "frontrunner.vote": (race, event) => {
    race.votes = event.votes;
    race.forcedVotes = event.forced_votes;
    race.weights = event.weights ?? {};
    race.leader = event.leader;
    for (const index of race.branches.keys()) race.changed.add(index);
  },
  "frontrunner.call_time": (race, event) => {
    race.calledAt = event.at ?? race.at;
  },
  "response.completed": conclude,
  "response.incomplete": conclude,
  "response.failed": conclude,
};

/**
 * @param {(branch: Branch, event: RaceEvent) => void} handler
 * @returns {(race: Race, event: RaceEvent) => void}
 */
function withBranch(handler) {
  return (race, event) => {
    const branch = race.branches.get(event.branch) ?? newBranch(event);
    race.branches.set(event.branch, branch);
    handler(branch, event);
    race.changed.add(event.branch);
  };
}

/**
 * What a branch begins with. Of an unknown parent only the number of tokens is known.
 * @param {Branch | undefined} parent
 * @param {RaceEvent} event
 */
function inherited(parent, event) {
  const tokens = event.inherited_tokens;
  if (!parent) return new GrowingText(tokens);
  const length =
    typeof event.inherited_characters === "number"
      ? parent.own.lengthOf(event.inherited_characters)
      : parent.own.lengthAfter(tokens);
  return parent.own.copy(length, tokens);
}

/** @param {Branch} branch */
function count(branch) {
  branch.tokens = branch.own.tokens - branch.inheritedTokens + branch.forced.tokens;
}

/**
 * @param {Race} race
 * @param {RaceEvent} event
 */
function conclude(race, event) {
  const { response } = event;
  const summary = response.frontrunner ?? null;
  // Not before what has been seen of it: a race that was cancelled does not say itself when it ended.
  const at = typeof event.at === "number" ? Math.max(event.at, race.at) : event.at;
  race.outcome = {
    status: response.status,
    answer: summary?.answer ?? null,
    text: messageText(response),
    error: response.error,
    summary,
    at,
  };
  if (summary) {
    race.votes = summary.votes;
    race.forcedVotes = summary.forced_votes;
    race.leader = summary.answer;
  }
  for (const branch of race.branches.values()) {
    // A race that was cancelled says nothing of its branches' ends.
    if (isActive(branch)) {
      const unseen = response.missed || response.status === "lost";
      branch.status = unseen ? "failed" : "cancelled";
      branch.reason = response.missed ? "unseen" : (summary?.stop_reason ?? response.status);
      branch.endedAt = at;
    }
    race.changed.add(branch.index);
  }
}

/** @param {any} response */
function messageText(response) {
  /** @type {string[]} */
  const parts = [];
  for (const item of response.output ?? []) {
    if (item.type === "message") for (const part of item.content) parts.push(part.text ?? "");
    if (item.type === "function_call") parts.push(`${item.name}(${item.arguments})`);
  }
  return parts.join("");
}

/**
 * Negative if list `a` comes before `b`, element by element.
 * @param {number[]} a
 * @param {number[]} b
 */
function compare(a, b) {
  const at = a.findIndex((value, place) => value !== b[place]);
  return at < 0 ? 0 : a[at] - b[at];
}
