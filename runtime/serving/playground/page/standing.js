// Which answer is in front, and how the race was decided.

import { byId, make, toggle, write } from "./elements.js";
import { renderText } from "./lead.js";
import { takeFormulas } from "./math_marks.js";
import { branchCounts, count, seconds, sentence, stopReason } from "./words.js";

/** Characters from which on an answer is set as a text. */
const LONG = 40;

const panel = byId("standing");

export function drawStanding(race) {
  const { outcome } = race;
  panel.dataset.phase = outcome ? "over" : race.deadline === null ? "idle" : "running";
  write(byId("standing-title"), title(race));
  const said = answer(race);
  drawAnswer(said, outcome !== null);
  write(byId("standing-why"), why(race));
  drawFacts(outcome?.summary ?? null);
}

/** One sentence, for those who hear it. */
export function announcement(race) {
  const { outcome } = race;
  if (outcome.status === "cancelled") return "The race was cancelled.";
  if (!outcome.summary) return `The race failed. ${outcome.error?.message ?? ""}`;
  const said = outcome.summary.answer ?? "no answer";
  return `Decided after ${seconds(outcome.at)}: ${said}. ${why(race)}`;
}

function title({ outcome, deadline }) {
  if (!outcome) return deadline === null ? "No race yet" : "In front";
  if (outcome.status === "cancelled") return "Cancelled";
  if (outcome.status === "lost") return "Out of sight";
  if (!outcome.summary) return "Failed";
  return outcome.summary.answer === null ? "The reply: no branch gave an answer to vote on" : "The answer";
}

function answer({ outcome, leader }) {
  if (outcome?.summary) return outcome.summary.answer ?? outcome.text.slice(0, 2000);
  return leader ?? "–";
}

function why({ outcome, deadline, calledAt }) {
  if (!outcome) {
    if (deadline === null) return "Ask something, and watch its branches race to the deadline.";
    return calledAt === null ? "" : "Call time: unfinished branches are asked, if no answer leads.";
  }
  if (outcome.summary) return stopReason(outcome.summary.stop_reason);
  if (outcome.status === "cancelled") return "Ended before an answer was decided.";
  if (outcome.status === "lost") return "The connection to the race was lost.";
  return sentence(outcome.error?.message ?? "");
}

let written = ""; // as it was given

/** An answer that is a formula, or a long one, is read as Markdown once it is decided. */
function drawAnswer(said, over) {
  const element = byId("standing-answer");
  if (element.hasAttribute("data-long") !== said.length > LONG) setLong(element, said.length > LONG);
  // What stood in a box is TeX, without the marks of a formula.
  const tex = /\\[a-zA-Z]/.test(said) && takeFormulas(said).formulas.length === 0;
  const rendered = over && (tex || said.length > LONG || takeFormulas(said).formulas.length > 0);
  if (!rendered) {
    written = "";
    if (element.firstElementChild) element.replaceChildren();
    write(element, said);
  } else if (said !== written) {
    written = renderText(element, tex ? `$${said}$` : said) ? said : "";
  }
}

/** A long answer scrolls: by keyboard, too. */
function setLong(element, long) {
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
    ["Confidence", summary.confidence.toFixed(2)],
    ["Stop reason", summary.stop_reason],
    ["Branches", branchCounts(summary.branches)],
    ["Tokens", `${count(summary.tokens_generated)} generated${saved}`],
  ];
  if (summary.overshoot > 0) facts.push(["Late by", `${Math.ceil(summary.overshoot * 1000)} ms`]);
  for (const note of summary.notes ?? []) facts.push(["Note", note.text]);
  for (const [name, value] of facts) list.append(make("dt", "", name), make("dd", "", value));
}
