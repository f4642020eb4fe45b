// The line of time: now, the call time, the decision, the deadline.

import { byId, toggle, write } from "./elements.js";
import { scaleEnd } from "./time_scale.js";
import { beforeDeadline, limit, seconds } from "./words.js";

const course = byId("course");
const marks = {
  call: [byId("mark-call"), byId("label-call")],
  decided: [byId("mark-decided"), byId("label-decided")],
};
const CALLED = "From here on branches without an answer are asked for theirs, if no answer leads.";
const wide = matchMedia("(min-width: 44rem)");
/** What became of the race at its end. */
const ENDS = { cancelled: "cancelled", failed: "failed", lost: "last heard of" };

/**
 * Draw the race as it stands `now` seconds after its start; `duration` is of one that is replayed,
 * else null. Returns the end of the scale, in seconds.
 */
export function drawCourse(race, now, zoomed, duration) {
  const end = scaleEnd(race, now, zoomed, duration);
  const share = (at) => Math.min(1, Math.max(0, at / end));
  const deadline = race.deadline ?? end;
  for (const element of course.querySelectorAll(":scope > .scale, :scope > .marks")) {
    element.style.setProperty("--now", share(now).toFixed(4));
  }
  toggle(course, "data-over", race.outcome !== null);
  toggle(course, "data-called", race.calledAt !== null);
  const beyond = end < deadline;
  toggle(course, "data-beyond", beyond);
  write(byId("label-end"), beyond ? seconds(end) : "");
  const told = race.deadline === null ? "" : `deadline ${limit(race.deadline)}`;
  write(byId("label-deadline"), beyond ? `${told} →` : told);
  place("call", "call time", race.calledAt, share);
  if (marks.call[1].title !== CALLED) marks.call[1].title = CALLED;
  const ended = race.outcome ? (ENDS[race.outcome.status] ?? decided(race.outcome)) : "";
  const early = race.outcome?.summary && wide.matches ? beforeDeadline(race.deadline, race.outcome.at) : "";
  place("decided", ended, race.outcome?.at ?? null, share, early && `, ${early}`);
  drawTime(race, now);
  return end;
}

/** What a race came to that went to its end. */
function decided({ summary }) {
  return summary && (summary.answer !== null || summary.branches.finished > 0) ? "decided" : "ended";
}

function place(name, words, at, share, more = "") {
  const [mark, label] = marks[name];
  for (const element of [mark, label]) toggle(element, "hidden", at === null);
  if (at === null) return;
  for (const element of [mark, label]) element.style.setProperty("--at", share(at).toFixed(4));
  // On the side that has room for it.
  toggle(label, "data-before", share(at) > 0.5);
  write(label, `${words} ${seconds(at)}${more}`);
}

function drawTime(race, now) {
  const left = byId("time-left");
  const unit = byId("time-unit");
  if (race.deadline === null) {
    write(left, "–");
    write(unit, "");
  } else if (race.outcome) {
    write(left, race.outcome.at.toFixed(2));
    const { at, summary } = race.outcome;
    const early = `seconds, ${beforeDeadline(race.deadline, at)}`;
    write(unit, summary ? early : `seconds of ${limit(race.deadline)}`);
  } else {
    write(left, Math.max(0, race.deadline - now).toFixed(1));
    write(unit, `seconds left of ${limit(race.deadline)}`);
  }
}
