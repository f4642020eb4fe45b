// The branches, each in its lane: its last words, how far it got, and what became of it.

import { make, makeShape, toggle, write } from "./elements.js";
import { isActive, wholeText } from "./state.js";
import { count, statusWord, times, whyEnded } from "./words.js";

/** Lanes in the page at a time; searches may launch many more branches. */
const MOST = 96;
/** Characters of a lane's last words. */
const WORDS = 200;

export class Lanes {
  #list;
  #more;
  #lanes = new Map();

  /** `list` holds the lanes; `more` says how many branches have none. */
  constructor(list, more) {
    this.#list = list;
    this.#more = more;
  }

  /** Draw what has changed since the last time. */
  draw(race) {
    for (const [index, lane] of this.#lanes) {
      if (!race.branches.has(index)) this.#remove(index, lane);
    }
    for (const index of race.changed) {
      const branch = race.branches.get(index);
      const lane = this.#lanes.get(index) ?? this.#add(branch, race);
      lane?.draw(branch, race);
    }
    race.changed.clear();
    const hidden = race.branches.size - this.#lanes.size;
    toggle(this.#more, "hidden", hidden === 0);
    write(this.#more, `${count(hidden)} more branches have no lane here.`);
  }

  #add(branch, race) {
    if (this.#lanes.size >= MOST && !this.#makeRoom(race)) return null;
    const lane = new Lane(branch.index);
    const after = [...this.#lanes].find(([index]) => index > branch.index);
    this.#list.insertBefore(lane.element, after?.[1].element ?? null);
    this.#lanes.set(branch.index, lane);
    return lane;
  }

  /** Take away a lane whose branch has ended and is not being read. */
  #makeRoom(race) {
    for (const [index, lane] of this.#lanes) {
      if (!isActive(race.branches.get(index)) && !lane.open && !lane.focused) {
        this.#remove(index, lane);
        return true;
      }
    }
    return false;
  }

  #remove(index, lane) {
    lane.element.remove();
    this.#lanes.delete(index);
  }
}

class Lane {
  #shape = makeShape();
  #tail = make("span", "tail");
  #said = make("span", "said");
  #rule = make("span", "rule", make("span", "head"));
  #fate = make("span", "fate");
  #answer = make("span", "answer");
  #tokens = make("span", "tokens");
  #facts = make("p", "about");
  #text = document.createTextNode("");
  #row;
  #whole;
  #branch = null;

  constructor(index) {
    const words = make("span", "words", make("span", "line", this.#tail, this.#said));
    const number = make("span", "number", String(index + 1));
    const track = make("span", "track", words, this.#rule);
    this.#row = make(
      "button", "row", this.#shape.element, number, track, this.#fate, this.#answer, this.#tokens,
    );
    this.#row.type = "button";
    this.#row.title = "Show all of its text";
    this.#row.setAttribute("aria-expanded", "false");
    this.#whole = make("div", "whole", this.#facts, make("pre", "", this.#text));
    this.#whole.hidden = true;
    this.#whole.id = `branch-${index}`;
    this.#row.setAttribute("aria-controls", this.#whole.id);
    this.#row.addEventListener("click", () => this.#toggle());
    this.element = make("li", "lane", this.#row, this.#whole);
  }

  get open() {
    return !this.#whole.hidden;
  }

  get focused() {
    return this.element.contains(document.activeElement);
  }

  draw(branch, race) {
    this.#branch = branch;
    const share = (at) => Math.min(1, Math.max(0, at / race.deadline)).toFixed(4);
    this.element.dataset.status = branch.status;
    toggle(this.element, "data-leads", branch.answer !== null && branch.answer === race.leader);
    this.#shape.set(branch.status);
    write(this.#tail, lastWords(branch.own.text));
    write(this.#said, lastWords(branch.forced.text));
    this.#rule.style.setProperty("--from", share(branch.startedAt));
    if (branch.endedAt === null) this.#rule.style.removeProperty("--to");
    else this.#rule.style.setProperty("--to", share(branch.endedAt));
    write(this.#fate, statusWord(branch.status));
    write(this.#answer, branch.answer ?? guess(branch));
    toggle(this.#answer, "data-guess", branch.answer === null);
    write(this.#tokens, count(branch.tokens));
    this.#tokens.title = `${count(branch.tokens)} tokens`;
    this.#name(branch);
    if (this.open) this.#drawWhole();
  }

  /** For those who hear it: only what seldom changes, so that a reader is not cut short. */
  #name(branch) {
    const answer = branch.answer === null ? "" : `, answer ${branch.answer}`;
    const name = `Branch ${branch.index + 1}, ${statusWord(branch.status)}${answer}`;
    if (this.#row.getAttribute("aria-label") !== name) this.#row.setAttribute("aria-label", name);
  }

  #toggle() {
    this.#whole.hidden = !this.#whole.hidden;
    this.#row.setAttribute("aria-expanded", String(this.open));
    if (this.open && this.#branch) this.#drawWhole();
  }

  #drawWhole() {
    write(this.#facts, about(this.#branch));
    const text = wholeText(this.#branch);
    const shown = this.#text.data;
    if (text === shown) return;
    if (text.startsWith(shown)) this.#text.appendData(text.slice(shown.length));
    else this.#text.data = text;
  }
}

function lastWords(text) {
  return text.slice(-WORDS).replace(/\s+/g, " ");
}

/** What a running branch would have answered when it was last asked on the way. */
function guess(branch) {
  const answer = branch.probes.at(-1)?.answer;
  return answer === undefined || answer === null ? "" : `${answer}?`;
}

function about(branch) {
  const told = [`${count(branch.tokens)} tokens`];
  if (branch.parent !== null) {
    told.push(`goes on from branch ${branch.parent + 1} after ${branch.inheritedTokens} tokens`);
  }
  if (branch.extensions > 0) told.push(`made to go on ${times(branch.extensions)}`);
  if (branch.askedTokens !== null) {
    told.push(`asked for its answer after ${branch.askedTokens} tokens`);
  }
  for (const probe of branch.probes.slice(-3)) {
    told.push(`would have said ${probe.answer ?? "nothing"} after ${probe.tokens} tokens`);
  }
  for (const call of branch.calls.slice(-3)) {
    told.push(call.outcome ? `${call.name} ${call.outcome}` : `waits for ${call.name}`);
  }
  const score = branch.scores.at(-1)?.score ?? null;
  if (score !== null) told.push(`score ${score.toFixed(3)}`);
  if (branch.reason) told.push(`${statusWord(branch.status)}: ${whyEnded(branch.reason)}`);
  return `${told.join("; ")}.`;
}
