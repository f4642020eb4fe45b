// @ts-check
// Races from files: pages and traces that were saved here, traces of `solve --trace`, and the
// events of `solve --json`. A file may hold anything: what is no race is refused, and its texts stay
// texts.

/** @import { RaceEvent } from "./state.js" */
/**
 * @typedef {RaceEvent & {at: number}} TimedEvent
 * @typedef {{asked: {input: any, model: string}, events: TimedEvent[]}} Saved
 */

/** The element of a saved page that holds its race. */
export const HOLDER = "frontrunner-race";
/** Pieces that the tokens between two times of a trace are shown in. */
const PIECES = 8;
/** Branches of a race that are read. */
const MOST_BRANCHES = 4096;

/** @type {Record<string, string>} what `solve --json` calls an event, and what the websocket does */
const NAMES = {
  race_started: "frontrunner.race.started",
  branch_started: "frontrunner.branch.started",
  branch_progressed: "frontrunner.branch.delta",
  branch_forcing: "frontrunner.branch.forcing",
  branch_probed: "frontrunner.branch.probed",
  branch_scored: "frontrunner.branch.scored",
  branch_extended: "frontrunner.branch.extended",
  branch_ended: "frontrunner.branch.ended",
  tool_called: "frontrunner.tool.called",
  tool_returned: "frontrunner.tool.returned",
  vote_changed: "frontrunner.vote",
  call_time_reached: "frontrunner.call_time",
};

/**
 * The races in a file's text.
 * @param {string} text
 * @returns {Saved[]} at least one
 * @throws {Error} there is none; the message is a sentence
 */
export function racesIn(text) {
  const races = text.trimStart().startsWith("<") ? [inPage(text)] : inLines(text);
  for (const race of races) check(race);
  if (races.length === 0) throw new Error("The file holds no race.");
  return races;
}

/**
 * @param {string} text of a page that was saved
 * @returns {Saved}
 */
function inPage(text) {
  // The last one: what stands before it are texts of the race.
  const from = text.lastIndexOf(`id="${HOLDER}">`);
  const until = text.indexOf("</script>", from);
  if (from < 0 || until < 0) throw new Error("The page holds no race: save it with “Save page”.");
  return parsed(text.slice(from + HOLDER.length + 6, until), "The page");
}

/**
 * @param {string} text
 * @returns {Saved[]}
 */
function inLines(text) {
  /** @type {Saved[]} */
  const races = [];
  /** @type {TimedEvent[]} */
  let open = []; // events of a race that has not ended yet
  text.split("\n").forEach((line, place) => {
    if (!line.trim()) return;
    const told = parsed(line, `Line ${place + 1}`);
    if (told?.frontrunner_trace) races.push(ofTrace(told));
    else if (typeof told?.event === "string") {
      const event = ofStream(told);
      if (event) open.push(event);
      if (event?.response) {
        races.push({ asked: { input: told.question ?? "", model: "" }, events: open });
        open = [];
      }
    } else throw new Error(`Line ${place + 1} is neither a trace nor an event of a race.`);
  });
  return races;
}

/**
 * @param {string} json
 * @param {string} where
 */
function parsed(json, where) {
  try {
    return JSON.parse(json);
  } catch {
    throw new Error(`${where} is damaged: it is no JSON.`);
  }
}

/**
 * Whether events are such that a race can be made of them.
 * @param {Saved} race
 */
function check({ events }) {
  const known =
    Array.isArray(events) &&
    events.every((event) => typeof event?.type === "string" && Number.isFinite(event.at)) &&
    events.some(({ type }) => type === "frontrunner.race.started") &&
    events.at(-1)?.response;
  if (!known) throw new Error("The file holds no race, or one that has not ended.");
  const started = events.find(({ type }) => type === "frontrunner.race.started");
  if (!Number.isFinite(started?.deadline)) throw new Error("The race has no deadline.");
}

// ── events of `solve --json` ────────────────────────────────────────────────────────────────────

/**
 * @param {any} told
 * @returns {TimedEvent | null} null: of a kind that is not known here
 */
function ofStream(told) {
  const { event, ...fields } = told;
  if (event === "race_decided") return ended(told.at, summaryOf(told.result), told.result.text);
  const type = NAMES[event];
  return type ? { ...fields, type } : null;
}

/**
 * The last event of a race.
 * @param {number} at
 * @param {any} summary null: it did not come to a result
 * @param {string} text
 * @returns {TimedEvent}
 */
function ended(at, summary, text) {
  const output = text ? [{ type: "message", content: [{ text }] }] : [];
  const status = summary === null ? "cancelled" : "completed";
  return {
    type: summary === null ? "response.incomplete" : "response.completed",
    at,
    response: { status, error: null, output, frontrunner: summary },
  };
}

/** @param {any} result of Python's `Result` */
function summaryOf(result) {
  const branches = countsOf(result.branches);
  const overshoot = Math.max(0, result.elapsed - result.deadline);
  return { notes: [], ...result, branches, overshoot };
}

/** @param {{status: string}[]} branches */
function countsOf(branches) {
  /** @type {Record<string, number>} */
  const counts = { launched: branches.length, finished: 0, truncated: 0, forced: 0, cancelled: 0, failed: 0 };
  for (const { status } of branches) if (Object.hasOwn(counts, status)) counts[status] += 1;
  return counts;
}

// ── traces ──────────────────────────────────────────────────────────────────────────────────────

/**
 * A trace knows when a branch had so many tokens, and its whole text: between two times the text
 * is dealt out evenly.
 * @param {any} trace as runtime/traces/recorder.py writes it
 * @returns {Saved}
 */
function ofTrace(trace) {
  /** @type {any[]} */
  const branches = Array.isArray(trace.branches) ? trace.branches.slice(0, MOST_BRANCHES) : [];
  const cuts = cutsOf(trace.commands ?? []);
  /** @type {TimedEvent[]} */
  const events = branches.flatMap((branch) => ofBranch(branch, trace.result, cuts));
  events.sort((a, b) => a.at - b.at);
  const last = trace.result?.elapsed ?? events.at(-1)?.at ?? 0;
  const { result } = trace;
  const begun = {
    type: "frontrunner.race.started",
    at: 0,
    race_id: String(trace.race ?? ""),
    deadline: trace.deadline ?? last,
    branches: branches.length,
  };
  const counts = countsOf(branches);
  const tokens = branches.reduce((sum, { tokens: own }) => sum + (Number(own) || 0), 0);
  const overshoot = Math.max(0, last - begun.deadline);
  const summary = result && {
    ...{ race_id: begun.race_id, notes: [], branches: counts },
    ...{ tokens_generated: tokens, tokens_saved: 0, overshoot, ...result },
  };
  const end = ended(Math.max(last, events.at(-1)?.at ?? 0), summary ?? null, "");
  const asked = { input: typeof trace.question === "string" ? trace.question : "", model: "" };
  return { asked, events: [begun, ...withVotes(events), end] };
}

/**
 * By branch, when and why it was cut.
 * @param {any[]} commands
 * @returns {Map<number, {at: number, reason: string}>}
 */
function cutsOf(commands) {
  const cuts = new Map();
  for (const { command, at, branches, reason } of commands) {
    if (command === "cancel") for (const index of branches ?? []) cuts.set(index, { at, reason });
  }
  return cuts;
}

/**
 * @param {any} told a branch of a trace
 * @param {any} result
 * @param {Map<number, {at: number, reason: string}>} cuts
 * @returns {TimedEvent[]}
 */
function ofBranch(told, result, cuts) {
  const { branch, status } = told;
  /** @type {[number, number][]} tokens, seconds */
  const times = told.times?.length ? told.times : [[0, 0]];
  const [inherited, begin] = times[0];
  const cut = cuts.get(branch);
  const end = cut?.at ?? (told.seconds == null ? (result?.elapsed ?? times.at(-1)?.[1] ?? 0) : begin + told.seconds);
  if (told.tokens > (times.at(-1)?.[0] ?? 0)) times.push([told.tokens, end]);
  const on = (/** @type {string} */ type, /** @type {number} */ at, /** @type {object} */ fields) => ({
    type: `frontrunner.${type}`, at, branch, ...fields,
  });
  const forced = status === "forced";
  const events = [on("branch.started", begin, { parent: null, inherited_tokens: inherited })];
  events.push(...deltas(told, times).map(([at, text, tokens]) => on("branch.delta", at, { text, tokens, forced: false })));
  for (const [tokens, answer] of told.probes ?? []) {
    events.push(on("branch.probed", timeOf(tokens, times), { tokens, answer }));
  }
  for (const [tokens, score] of told.scores ?? []) {
    events.push(on("branch.scored", tokens >= told.tokens ? end : timeOf(tokens, times), { tokens, score }));
  }
  (told.calls ?? []).forEach((/** @type {any} */ call, /** @type {number} */ place) => {
    const made = { ...call, call: `${branch}.${place}` };
    events.push(on("tool.called", call.at, made), on("tool.returned", call.at + call.seconds, made));
  });
  if (forced) events.push(on("branch.forcing", times.at(-1)?.[1] ?? end, { tokens: told.tokens }));
  events.push(
    on("branch.ended", end, {
      status,
      tokens: told.tokens - inherited,
      answer: (forced ? told.forced?.[1] : told.answer) ?? null,
      reason: told.error ?? cut?.reason ?? (status === "cancelled" ? (result?.stop_reason ?? null) : null),
    }),
  );
  return events;
}

/**
 * @param {{text?: string}} told
 * @param {[number, number][]} times
 * @returns {[number, string, number][]} seconds, text, tokens
 */
function deltas(told, times) {
  const characters = [...(told.text ?? "")];
  const [[first], last] = [times[0], times[times.length - 1]];
  const share = characters.length / Math.max(1, last[0] - first);
  /** @type {[number, string, number][]} */
  const pieces = [];
  for (let k = 1; k < times.length; k += 1) {
    const [[before, began], [reached, at]] = [times[k - 1], times[k]];
    const count = Math.min(PIECES, reached - before);
    for (let i = 0; i < count; i += 1) {
      const [from, until] = [i, i + 1].map((j) => before + Math.round(((reached - before) * j) / count));
      const [a, b] = [from, until].map((tokens) => Math.round((tokens - first) * share));
      const moment = began + ((at - began) * (i + 1)) / count;
      pieces.push([moment, characters.slice(a, b).join(""), until - from]);
    }
  }
  return pieces;
}

/**
 * @param {number} tokens
 * @param {[number, number][]} times
 */
function timeOf(tokens, times) {
  return (times.find(([reached]) => reached >= tokens) ?? times[times.length - 1])[1];
}

/**
 * The events with the standing after each answer: a trace does not say what votes weighed.
 * @param {TimedEvent[]} events
 * @returns {TimedEvent[]}
 */
function withVotes(events) {
  /** @type {Record<string, number>} */
  const votes = {};
  /** @type {Record<string, number>} */
  const forced = {};
  return events.flatMap((event) => {
    if (event.type !== "frontrunner.branch.ended" || event.answer === null) return [event];
    const counted = event.status === "finished" ? votes : forced;
    counted[event.answer] = (counted[event.answer] ?? 0) + 1;
    const among = Object.keys(votes).length > 0 ? votes : forced;
    const leader = Object.keys(among).reduce((a, b) => (among[b] > among[a] ? b : a));
    const standing = { votes: { ...votes }, forced_votes: { ...forced }, leader };
    return [event, { type: "frontrunner.vote", at: event.at, ...standing }];
  });
}
