// What lies across all lanes: the scale of time, now, the call time, the decision, the deadline.

import { byId, toggle, write } from "./elements.js";
import { limit, seconds } from "./words.js";

const course = byId("course");
const marks = {
  call: [byId("mark-call"), byId("label-call"), "call time"],
  decided: [byId("mark-decided"), byId("label-decided"), "decided"],
};

/** Draw the race as it stands `now` seconds after its start. */
export function drawCourse(race, now) {
  const deadline = race.deadline ?? 1;
  const share = (at) => Math.min(1, Math.max(0, at / deadline));
  course.style.setProperty("--now", share(now).toFixed(4));
  toggle(course, "data-over", race.outcome !== null);
  write(byId("label-deadline"), race.deadline === null ? "" : `deadline ${limit(race.deadline)}`);
  place("call", race.calledAt, share);
  place("decided", race.outcome?.at ?? null, share);
  drawTime(race, now);
}

function place(name, at, share) {
  const [mark, label, words] = marks[name];
  for (const element of [mark, label]) toggle(element, "hidden", at === null);
  if (at === null) return;
  for (const element of [mark, label]) element.style.setProperty("--at", share(at).toFixed(4));
  // On the side that has room for it.
  toggle(label, "data-before", share(at) > 0.5);
  write(label, `${words} ${seconds(at)}`);
}

function drawTime(race, now) {
  const left = byId("time-left");
  const unit = byId("time-unit");
  if (race.deadline === null) {
    write(left, "–");
    write(unit, "");
  } else if (race.outcome) {
    write(left, race.outcome.at.toFixed(2));
    write(unit, `seconds of ${limit(race.deadline)}`);
  } else {
    write(left, Math.max(0, race.deadline - now).toFixed(1));
    write(unit, `seconds left of ${limit(race.deadline)}`);
  }
}
