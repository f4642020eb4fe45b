// @ts-check
// A race to take away: as a line of Frontrunner's own trace, and as one HTML file.

import { HOLDER } from "./imported.js";
import { apply, newRace, ranking, wholeText } from "./state.js";
import { branchCounts, count, limit, seconds, statusWord, stopReason, whyEnded } from "./words.js";

/** @import { Branch, Race, RaceEvent } from "./state.js" */

/** Tokens between two times that a trace notes, as in runtime/traces/recorder.py. */
const EVERY = 16;

/**
 * A line of JSON: runtime/traces/formats.py reads it. The right answer is not known here: whoever
 * wants to replay it writes it in place of `gold`.
 * @param {(RaceEvent & {at: number})[]} events all of the race
 * @param {string} question
 */
export function asTrace(events, question) {
  const race = newRace();
  /** @type {Map<number, [number, number][]>} */
  const times = new Map();
  /** @type {Set<number>} branches that ran into their limit, be it that they were forced since */
  const limited = new Set();
  for (const event of events) {
    apply(race, event);
    const branch = race.branches.get(event.branch);
    if (branch) note(times, branch, event);
    if (event.status === "truncated") limited.add(event.branch);
    if (event.type === "frontrunner.branch.extended") limited.delete(event.branch);
  }
  const summary = race.outcome?.summary ?? null;
  return `${JSON.stringify({
    frontrunner_trace: 1,
    race: race.raceId,
    question,
    gold: null,
    deadline: race.deadline,
    branches: [...race.branches.values()].map((branch) => ({
      ...traced(branch, times.get(branch.index) ?? []),
      ...(limited.has(branch.index) && { truncated: true }),
    })),
    result: summary && {
      answer: summary.answer,
      stop_reason: summary.stop_reason,
      confidence: summary.confidence,
      elapsed: summary.elapsed,
      votes: summary.votes,
      forced_votes: summary.forced_votes,
    },
  })}\n`;
}

/**
 * @param {Map<number, [number, number][]>} times
 * @param {Branch} branch
 * @param {RaceEvent & {at: number}} event
 */
function note(times, branch, event) {
  let own = times.get(branch.index) ?? [];
  const tokens = branch.own.tokens;
  if (event.type === "frontrunner.branch.extended") own = own.filter(([noted]) => noted <= tokens);
  const last = own.at(-1)?.[0] ?? null;
  const least = event.type === "frontrunner.branch.ended" ? 1 : EVERY;
  if (last === null || tokens - last >= least) own.push([tokens, event.at]);
  times.set(branch.index, own);
}

/**
 * @param {Branch} branch
 * @param {[number, number][]} times
 */
function traced(branch, times) {
  const tokens = branch.own.tokens;
  const forced = branch.status === "forced";
  return {
    branch: branch.index,
    status: branch.status,
    tokens,
    seconds: branch.endedAt == null ? null : branch.endedAt - (branch.startedAt ?? 0),
    answer: forced ? null : branch.answer,
    times: times.filter(([noted]) => noted <= tokens),
    ...(branch.parent !== null && { parent: branch.parent }),
    ...(branch.extensions > 0 && { extended: true }),
    ...(branch.status === "failed" && branch.reason && { error: branch.reason }),
    ...(branch.probes.length > 0 && { probes: branch.probes.map((p) => [p.tokens, p.answer]) }),
    ...(branch.scores.length > 0 && { scores: branch.scores.map((s) => [s.tokens, s.score]) }),
    ...(branch.calls.length > 0 && { calls: branch.calls.flatMap(tracedCall) }),
    ...(forced && { forced: [tokens, branch.answer] }),
    text: wholeText(branch),
  };
}

/**
 * @param {import("./state.js").ToolCall} call
 */
function tracedCall({ name, arguments: given, shared, outcome, result, from, to }) {
  if (to === null) return []; // nobody heard of its end
  return [{ name, arguments: given, shared, outcome, result, at: from, seconds: to - from }];
}

/**
 * A document that stands by itself: it runs nothing and loads nothing.
 * @param {Race} race one that has ended
 * @param {string} question
 * @param {string} model
 * @param {object | null} saved what the page is opened again from: `{asked, events}`
 */
export function asHtml(race, question, model, saved = null) {
  const { outcome, deadline } = race;
  const answer = outcome?.summary?.answer ?? outcome?.text ?? "";
  const why = outcome?.summary ? stopReason(outcome.summary.stop_reason) : (outcome?.status ?? "");
  const most = Math.max(1, ...[...race.branches.values()].map((branch) => branch.tokens));
  const votes = ranking(race).map((name) => {
    const forced = race.forcedVotes[name] ? ` + ${race.forcedVotes[name]} forced` : "";
    return `<tr><td dir="auto">${escaped(name)}</td><td>${race.votes[name] ?? 0}${forced}</td></tr>`;
  });
  const took = `${seconds(outcome?.at ?? race.at)} of ${limit(deadline ?? 0)}`;
  const counts = outcome?.summary ? branchCounts(outcome.summary.branches) : "";
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>A race for ${escaped(answer.slice(0, 80))}</title>
<style>
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; }
.answer { font-size: 2rem; font-weight: 600; overflow-wrap: anywhere; }
td { padding-right: 1.5rem; overflow-wrap: anywhere; }
meter { width: 8rem; }
</style>
<h1>A race of ${escaped(model)}</h1>
<pre dir="auto">${escaped(question)}</pre>
<h2>${outcome?.summary ? "The answer" : "Not decided"}</h2>
<p class="answer" dir="auto">${escaped(answer)}</p>
<p>${escaped(why)} ${took}. ${escaped(counts)}</p>
<h2>Votes</h2>
<table>${votes.join("")}</table>
<h2>Branches</h2>
${[...race.branches.values()].map((branch) => branchHtml(branch, most)).join("\n")}
${saved ? `<script type="application/json" id="${HOLDER}">${inScript(saved)}</script>\n` : ""}</html>
`;
}

/**
 * @param {Branch} branch
 * @param {number} most
 */
function branchHtml(branch, most) {
  const reason = branch.reason ? `: ${whyEnded(branch.reason)}` : "";
  const answer = branch.answer === null ? "" : ` · ${branch.answer}`;
  const said = `${branch.index + 1} · ${statusWord(branch.status)}${reason}${answer}`;
  return `<details><summary><bdi>${escaped(said)}</bdi> <meter max="${most}" value="${branch.tokens}"></meter> ${count(branch.tokens)} tokens</summary>
<pre dir="auto">${escaped(wholeText(branch))}</pre></details>`;
}

/**
 * JSON that ends no element that it stands in. The browser does not run it: it is data.
 * @param {object} value
 */
function inScript(value) {
  return JSON.stringify(value).replaceAll("<", "\\u003c");
}

/** @param {string} text */
function escaped(text) {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}
