// How a race is shown, as the viewer chose it, and the drawing of it.

import { drawCourse } from "./course.js";
import { byId, setProperty, toggle, write } from "./elements.js";
import { Finishes } from "./finish.js";
import { Lanes } from "./lanes.js";
import { drawLead } from "./lead.js";
import { drawStanding } from "./standing.js";
import { ToolLanes } from "./tool_lanes.js";
import { Votes } from "./votes.js";
import { count } from "./words.js";

/** From so many branches on lanes are compact, unless the viewer chooses otherwise. */
const MANY = 20;

const lanes = new Lanes(byId("lanes"), byId("lanes-more"));
const votes = new Votes(byId("votes"), byId("votes-more"));
const tools = new ToolLanes();
const finishes = new Finishes();
const panel = byId("race");
let shown = null; // what was drawn last

/** Draw a race as it stood `at` seconds after its start; `duration` is of one that is replayed. */
export function drawRace(race, at, duration = null) {
  shown = [race, at, duration];
  const axis = byId("axis").value;
  const chosen = byId("density").value;
  const compact = chosen === "auto" ? Math.max(race.maxBranches, race.branches.size) >= MANY : chosen === "compact";
  panel.dataset.axis = axis;
  for (const element of [panel, document.documentElement]) toggle(element, "data-many", compact);
  // Lanes inherit it, all of them: only where they need it.
  const list = byId("lanes");
  const time = drawCourse(race, at, byId("zoom").checked, duration);
  setProperty(list, "--now", axis === "time" ? Math.min(1, at / time).toFixed(4) : null);
  const tokens = finishes.scale(race);
  drawFinish(race, axis === "tokens" ? finishes.expected(race) : null, tokens);
  lanes.draw(race, { axis, compact, order: byId("order").value, end: axis === "tokens" ? tokens : time });
  tools.draw(race, at, time);
  votes.draw(race);
  drawStanding(race);
  drawLead(race);
}

function drawFinish(race, expected, end) {
  const list = byId("lanes");
  toggle(list, "data-finish", expected !== null);
  if (expected !== null) setProperty(list, "--finish", (expected / end).toFixed(4));
  const words =
    expected === null
      ? "Bars: tokens written. Where branches finish is not known yet."
      : `Bars: tokens written. The dotted line: where branches finish, about ${count(Math.round(expected))} tokens.`;
  const bars = panel.dataset.axis === "time" ? "Bars: time, up to the right end of the line above." : words;
  const acts = [
    race.thinking !== null && "thinking",
    [...race.branches.values()].some(({ calls }) => calls.length > 0) && "calls of tools",
  ].filter(Boolean);
  write(byId("bars-mean"), acts.length > 0 ? `${bars} Below them: ${acts.join(", and ")}.` : bars);
}

/** A race has ended: the next one is expected to be like it. */
export function rememberLengths(race) {
  finishes.remember(race);
}

for (const id of ["axis", "order", "density", "zoom"]) {
  byId(id).addEventListener("change", () => shown && drawRace(...shown));
}
