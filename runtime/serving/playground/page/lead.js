// The branch that speaks for the race, and what it wrote, beside the answer.

import { pieces, withCalls } from "./calls_in_text.js";
import { keepEdges, markEdges } from "./edges.js";
import { byId, make, toggle, write } from "./elements.js";
import { isFurthest, leadingBranch } from "./order.js";
import { isActive, wholeText } from "./state.js";
import { parts } from "./thinking.js";
import { count, readable, readableText } from "./words.js";

/** Characters of a text that still grows. */
const LAST = 700;
/** Milliseconds between two drawings of it: nobody reads faster. */
const PAUSE = 150;
/** Milliseconds for which a branch that runs is read on, though another is further meanwhile. */
const READ = 3000;
/** Characters of an answer that is set as a formula in a line. */
const LONGEST = 80;

let prose = null; // the module, once it is there
let drawn = { text: null, rendered: false };
let drawnAt = 0; // on the page's clock, in milliseconds
let held = { raceId: "", index: -1, since: 0 };

/** Formulas and Markdown are read once this is there; until then text is as it was written. */
export async function loadProse() {
  prose ??= await import("./prose.js").catch(() => null);
}

/** Text as Markdown with formulas if that can be had. Whether it could. */
export function renderText(element, text) {
  if (prose) prose.renderInto(element, text);
  else write(element, text);
  return prose !== null;
}

const formulas = new WeakMap(); // the TeX that an element shows

/** A short answer: in a line if it can be read so, else as a formula. */
export function writeAnswer(element, answer) {
  const read = readable(answer);
  if (prose === null || !read.includes("\\") || answer.length > LONGEST) {
    formulas.delete(element);
    write(element, read);
  } else if (formulas.get(element) !== answer) {
    formulas.set(element, answer);
    prose.renderFormula(element, answer);
  }
}

/** Draw the leading branch of the race. */
export function drawLead(race) {
  const now = performance.now();
  const reads = held.raceId === race.raceId && now - held.since < READ;
  const branch = leadingBranch(race, reads ? held.index : null);
  toggle(byId("lead"), "hidden", branch === null);
  if (!branch) return;
  if (!reads || branch.index !== held.index) {
    held = { raceId: race.raceId, index: branch.index, since: now };
  }
  // With every frame, as the lanes are: both say the same of it.
  write(byId("lead-title"), title(race, branch));
  const body = byId("lead-all");
  if (isActive(branch) && now - drawnAt < PAUSE) return;
  drawnAt = now;
  if (isActive(branch)) {
    const text = readableText(withCalls(branch.own.tail(LAST)));
    if (drawn.text === text) return;
    drawn = { text, rendered: false };
    const grows = body.firstElementChild;
    if (grows?.className === "plain") write(grows, text);
    else body.replaceChildren(plain(text));
    markEdges(byId("lead-text"), true);
    return;
  }
  const text = wholeText(branch);
  if (drawn.text === text && drawn.rendered === (prose !== null)) return;
  drawn = { text, rendered: prose !== null };
  body.replaceChildren(...sections(text, race.thinking));
  markEdges(byId("lead-text"), true);
}

keepEdges(byId("lead-text"), true);

function title(race, branch) {
  const name = `Branch ${branch.index + 1}`;
  const tokens = `${count(branch.tokens)} tokens`;
  if (race.leader !== null && branch.answer === race.leader) return `${name} reasoned (${tokens})`;
  if (!isFurthest(race, branch)) return `${name} ${isActive(branch) ? "writes" : "wrote"} (${tokens})`;
  return isActive(branch) ? `${name} is furthest (${tokens})` : `${name} got furthest (${tokens})`;
}

function plain(text) {
  const element = document.createElement("p");
  element.className = "plain";
  element.dir = "auto";
  element.textContent = text;
  return element;
}

/** What a branch thought, and what it said, each in its own section. */
export function sections(text, format) {
  const found = parts(text, format);
  const thinks = found.some(({ kind }) => kind === "thought");
  return found.map((part) => {
    const section = document.createElement("section");
    section.className = `prose of-${part.kind}`;
    section.dir = "auto";
    const body = pieces(part.text.trim()).map(pieceOf);
    if (thinks) {
      const heading = document.createElement("p");
      heading.className = "kind";
      heading.textContent = part.kind === "thought" ? "Thinking" : "Reply";
      section.append(heading);
    }
    section.append(...body);
    return section;
  });
}

/** What was written, a call, or what that gave back. */
function pieceOf({ kind, text }) {
  if (kind === "call") return make("p", "called", make("code", "", text));
  if (kind === "result") return make("p", "gave", text);
  const body = make("div");
  renderText(body, text.trim());
  return body;
}
