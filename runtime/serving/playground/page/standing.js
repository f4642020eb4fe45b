// Which answer is in front, and how the race was decided.

import { keepEdges, markEdges } from "./edges.js";
import { byId, make, toggle, write } from "./elements.js";
import { tieBreak } from "./decision.js";
import { renderText } from "./lead.js";
import { takeFormulas } from "./math_marks.js";
import {
  beforeDeadline, branchCounts, count, readable, seconds, sentence, stopReason, stopWord,
} from "./words.js";

/** Characters from which on an answer is set as a text. */
const LONG = 40;
const CONFIDENCE =
  "How likely the answer is what all branches would have agreed on, from 0 to 1; not how likely it is right.";

const panel = byId("standing");
keepEdges(byId("standing-answer"));

export function drawStanding(race) {
  const { outcome } = race;
  panel.dataset.phase = phase(race);
  write(byId("standing-title"), title(race));
  const said = answer(race);
  // What is in front is an answer; that nothing is, or was, are words.
  toggle(panel, "data-words", said === null);
  if (said === null) write(clear(byId("standing-answer")), words(race));
  else drawAnswer(said, Boolean(outcome?.summary));
  write(byId("standing-why"), why(race));
  drawFacts(outcome?.summary ?? null);
}

/** One sentence, for those who hear it. */
export function announcement(race) {
  const { outcome } = race;
  if (outcome.status === "cancelled") return "The race was cancelled.";
  if (!outcome.summary) return `The race failed. ${outcome.error?.message ?? ""}`;
  const said = outcome.summary.answer ?? "no answer";
  const early = beforeDeadline(race.deadline, outcome.at);
  const over = outcome.summary.answer !== null || ended(outcome) ? "Decided" : "Ended";
  return `${over} after ${seconds(outcome.at)}, ${early}: ${said}. ${why(race)}`;
}

function phase({ outcome, deadline }) {
  if (outcome) return outcome.summary ? "over" : "undecided";
  return deadline === null ? "idle" : "running";
}

function title({ outcome, deadline, away }) {
  if (!outcome) return deadline === null ? "No race yet" : away ? "In front, as last heard" : "In front";
  if (outcome.status === "cancelled") return "Cancelled";
  if (outcome.status === "lost") return "Not decided: out of sight";
  if (!outcome.summary) return "Failed";
  if (outcome.summary.answer !== null) return "The answer";
  if (!ended(outcome)) return outcome.summary.stop_reason === "deadline" ? "No answer by the deadline" : "No answer";
  return "The reply: no branch gave an answer to vote on";
}

/** Whether a branch came to its end: what it wrote is a reply. */
function ended({ summary }) {
  return summary.branches.finished > 0;
}

/** What stands in front; null: there is nothing, or it was not decided for. */
function answer({ outcome, leader }) {
  if (!outcome) return leader;
  return (outcome.summary?.answer ?? (outcome.summary ? outcome.text.slice(0, 2000) : "")) || null;
}

/** In its place. */
function words({ outcome, deadline, leader }) {
  if (!outcome) return deadline === null ? "–" : "No votes yet";
  return outcome.summary || leader === null ? "–" : `${readable(leader)} was in front`;
}

function why(race) {
  const { outcome, deadline, calledAt } = race;
  if (!outcome) {
    if (deadline === null) return "Ask something, and watch its branches race to the deadline.";
    return calledAt === null ? "" : "Call time: unfinished branches are asked, if no answer leads.";
  }
  if (outcome.summary) return decidedBy(race);
  if (outcome.status === "cancelled") return "Ended before an answer was decided.";
  if (outcome.status === "lost") return "The connection was lost. The race may have gone on.";
  return sentence(outcome.error?.message ?? "");
}

function decidedBy(race) {
  const { answer: said, stop_reason: reason } = race.outcome.summary;
  if (said === null && !ended(race.outcome)) {
    const over = reason === "deadline" ? "Time was up." : stopReason(reason);
    return race.outcome.text ? `${over} This is as far as a branch had come.` : over;
  }
  if (said === null && reason === "deadline") return "Time was up.";
  return `${stopReason(reason)} ${tieBreak(race)}`.trim();
}

let written = ""; // as it was given

/** An answer that is a formula, or a long one, is read as Markdown once it is decided. */
function drawAnswer(said, over) {
  const element = byId("standing-answer");
  setLong(element, said.length > LONG);
  // What stood in a box is TeX, without the marks of a formula.
  const tex = /\\[a-zA-Z]/.test(said) && takeFormulas(said).formulas.length === 0;
  const rendered = tex || (over && (said.length > LONG || takeFormulas(said).formulas.length > 0));
  if (!rendered) write(clear(element), said);
  else if (said !== written) {
    written = renderText(element, tex ? `$${said}$` : said) ? said : "";
    markEdges(element);
  }
}

/** Ready for words that stand as they are. */
function clear(element) {
  written = "";
  setLong(element, false);
  if (element.firstElementChild) element.replaceChildren();
  return element;
}

/** A long answer scrolls: by keyboard, too. */
function setLong(element, long) {
  if (element.hasAttribute("data-long") === long) return;
  toggle(element, "data-long", long);
  const more = { tabindex: "0", role: "group", "aria-labelledby": "standing-title" };
  for (const [name, value] of Object.entries(more)) {
    if (long) element.setAttribute(name, value);
    else element.removeAttribute(name);
  }
}

let drawn = null;

function drawFacts(summary) {
  if (summary === drawn) return;
  drawn = summary;
  const list = byId("facts");
  list.replaceChildren();
  toggle(list, "hidden", summary === null);
  if (summary === null) return;
  const saved = summary.tokens_saved > 0 ? `, about ${count(summary.tokens_saved)} saved` : "";
  const facts = [
    ["Confidence", summary.confidence.toFixed(2), CONFIDENCE],
    ["Stop reason", stopWord(summary.stop_reason), `${stopReason(summary.stop_reason)} (${summary.stop_reason})`],
    ["Branches", branchCounts(summary.branches)],
    ["Tokens", `${count(summary.tokens_generated)} generated${saved}`],
  ];
  if (summary.overshoot > 0) facts.push(["Late by", `${Math.ceil(summary.overshoot * 1000)} ms`]);
  for (const note of summary.notes ?? []) facts.push(["Note", note.text]);
  for (const [name, value, about] of facts) {
    const pair = [make("dt", "", name), make("dd", "", value)];
    if (about) for (const element of pair) element.title = about;
    list.append(make("div", "", ...pair));
  }
}
