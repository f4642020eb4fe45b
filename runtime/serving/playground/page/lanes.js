// The branches, each in its lane: how far it got, its last words, and what became of it.

import { actsOf, openCall, thinks } from "./acts.js";
import { withCalls } from "./calls_in_text.js";
import { keepEdges, markEdges } from "./edges.js";
import { make, makeShape, setProperty, toggle, write } from "./elements.js";
import { length } from "./finish.js";
import { sections, writeAnswer } from "./lead.js";
import { byNumber, byWhatMatters } from "./order.js";
import { isActive, wholeText } from "./state.js";
import { replyStart } from "./thinking.js";
import { called, count, outcomeWord, readableText, seconds, shortReason, statusWord, times, whyEnded } from "./words.js";

/** Lanes in the page at a time; searches may launch many more branches. */
const MOST = 96;
/** Characters of a lane's last words. */
const WORDS = 200;
/** Milliseconds between two looks at what a running branch thinks: all of its text is read. */
const LOOK = 400;
/** Milliseconds for which a pointer that has come to rest on the lanes is still about to press. */
const POINTING = 1500;

/**
 * How lanes are shown: `axis` is "tokens" or "time", `order` is "matters" or "number", `compact`
 * is without words; `end` is what the right end of a bar stands for, in tokens or seconds.
 */
export class Lanes {
  #list;
  #more;
  #lanes = new Map();
  #race = null;
  #stamp = "";
  #pointedAt = -Infinity; // when the pointer last moved over it, on the page's clock
  #later; // the timer after which they are brought in order
  #look = { axis: "tokens", order: "matters", compact: false, end: 1 };

  /** `list` holds the lanes; `more` says how many branches have none. */
  constructor(list, more) {
    this.#list = list;
    this.#more = more;
    list.addEventListener("pointermove", ({ movementX, movementY }) => {
      // A page that scrolls below a pointer moves no pointer.
      if (movementX !== 0 || movementY !== 0) this.#pointedAt = performance.now();
    });
    for (const left of ["pointerleave", "focusout"]) {
      list.addEventListener(left, () => queueMicrotask(() => this.#race && this.#sort(this.#race)));
    }
  }

  /** Draw what has changed since the last time. */
  draw(race, look) {
    this.#race = race;
    for (const [index, lane] of this.#lanes) {
      if (!race.branches.has(index)) this.#remove(index, lane);
    }
    if (this.#changed(look)) for (const index of race.branches.keys()) race.changed.add(index);
    for (const index of race.changed) {
      const branch = race.branches.get(index);
      const lane = this.#lanes.get(index) ?? this.#add(branch, race);
      lane?.draw(branch, race, this.#look);
    }
    race.changed.clear();
    this.#sort(race);
    const hidden = race.branches.size - this.#lanes.size;
    toggle(this.#more, "hidden", hidden === 0);
    write(this.#more, `${count(hidden)} more branches have no lane here.`);
  }

  /** Whether all lanes look otherwise now. */
  #changed(look) {
    const old = this.#look;
    this.#look = look;
    toggle(this.#list, "data-compact", look.compact);
    return Object.keys(look).some((key) => look[key] !== old[key]);
  }

  #add(branch, race) {
    if (this.#lanes.size >= MOST && !this.#makeRoom(race)) return null;
    const lane = new Lane(branch.index);
    this.#list.append(lane.element);
    this.#lanes.set(branch.index, lane);
    this.#stamp = "";
    return lane;
  }

  /**
   * Bring the lanes in order, where that has changed. Not under a pointer that moves, nor under the
   * focus: what someone is about to press stays where it is.
   */
  #sort(race) {
    const { order } = this.#look;
    let stamp = `${order} ${race.leader}`;
    for (const branch of race.branches.values()) stamp += ` ${branch.status}${branch.answer}`;
    if (stamp === this.#stamp) return;
    if (this.#stamp !== "" && this.#isUsed()) {
      clearTimeout(this.#later);
      this.#later = setTimeout(() => this.#race && this.#sort(this.#race), POINTING);
      return;
    }
    this.#stamp = stamp;
    const indices = order === "number" ? byNumber(race) : byWhatMatters(race);
    let next = this.#list.firstElementChild;
    for (const index of indices) {
      const element = this.#lanes.get(index)?.element;
      if (!element) continue;
      if (element === next) next = next.nextElementSibling;
      else this.#list.insertBefore(element, next);
    }
  }

  #isUsed() {
    if (this.#list.matches(":focus-within")) return true;
    return performance.now() - this.#pointedAt < POINTING && this.#list.matches(":hover");
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
  #rule = make("span", "rule", make("span", "reply"), make("span", "head"));
  #fate = make("span", "fate");
  #answer = make("span", "answer");
  #why = make("span", "why");
  #tokens = make("span", "tokens");
  #acts = make("span", "acts");
  #facts = make("p", "about");
  #calls = make("ul", "calls");
  #prose = make("div", "texts");
  #written = make("details", "written", make("summary", "", "As it was written"));
  #text = document.createTextNode("");
  #row;
  #whole;
  #branch = null;
  #race = null;
  #shown = ""; // the text that is rendered
  #lookedAt = 0; // at its thoughts, on the page's clock
  #thinks = false;
  #drawnActs = "";

  constructor(index) {
    const words = make("span", "words", make("span", "line", this.#tail, this.#said));
    words.dir = "auto";
    this.#answer.dir = "auto";
    const number = make("span", "number", String(index + 1));
    const track = make("span", "track", words, this.#rule, this.#acts);
    // What changes all the time is not part of the row's name: a reader would be cut short.
    for (const busy of [track, this.#tokens]) busy.setAttribute("aria-hidden", "true");
    const result = make("span", "result", this.#fate, " ", this.#answer, " ", this.#why);
    const branch = make("span", "heard", "Branch ");
    this.#row = make("button", "row", branch, this.#shape.element, number, track, result, this.#tokens);
    this.#row.type = "button";
    this.#row.title = "Show all of its text";
    this.#row.setAttribute("aria-expanded", "false");
    const pre = make("pre", "", this.#text);
    pre.dir = "auto";
    this.#written.append(pre);
    // It scrolls: by keyboard, too.
    this.#prose.tabIndex = 0;
    this.#prose.setAttribute("role", "group");
    this.#prose.setAttribute("aria-label", `Text of branch ${index + 1}`);
    keepEdges(this.#prose);
    this.#whole = make("div", "whole", this.#facts, this.#calls, this.#prose, this.#written);
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

  draw(branch, race, { axis, compact, end }) {
    this.#branch = branch;
    this.#race = race;
    if (this.element.dataset.status !== branch.status) this.element.dataset.status = branch.status;
    toggle(this.element, "data-leads", branch.answer !== null && branch.answer === race.leader);
    this.#shape.set(branch.status);
    this.#drawBar(branch, race, axis, end);
    if (!compact) {
      write(this.#tail, lastWords(branch.own.tail(WORDS)));
      write(this.#said, lastWords(branch.forced.tail(WORDS)));
    }
    this.#drawActs(branch, race, axis, end);
    write(this.#fate, this.#doing(branch));
    if (branch.answer === null) write(this.#answer, guess(branch));
    else writeAnswer(this.#answer, branch.answer);
    toggle(this.#answer, "data-guess", branch.answer === null);
    const reason = branch.reason === null ? "" : whyEnded(branch.reason);
    write(this.#why, compact && branch.reason !== null ? shortReason(branch.reason) : reason);
    write(this.#tokens, count(branch.tokens));
    this.#explain(branch, reason);
    if (this.open) this.#drawWhole();
  }

  #drawBar(branch, race, axis, end) {
    const share = (value) => Math.min(1, Math.max(0, value / end)).toFixed(4);
    const tokens = axis === "tokens";
    const from = tokens ? branch.inheritedTokens : branch.startedAt;
    const to = tokens ? length(branch) : branch.endedAt;
    setProperty(this.#rule, "--from", share(from));
    setProperty(this.#rule, "--to", to === null ? null : share(to));
    if (race.thinking === null || isActive(branch)) return setProperty(this.#rule, "--reply", null);
    const text = branch.own.text;
    const start = replyStart(text, race.thinking);
    setProperty(this.#rule, "--reply", text.length === 0 ? null : (1 - start / text.length).toFixed(3));
  }

  /** Its thoughts and calls. Those of a branch that runs are looked for now and then. */
  #drawActs(branch, race, axis, end) {
    if (race.thinking === null && branch.calls.length === 0) {
      this.#thinks = false;
      if (this.#drawnActs) this.#acts.replaceChildren();
      this.#drawnActs = "";
      return;
    }
    const now = performance.now();
    const active = isActive(branch);
    if (active && race.thinking !== null && now - this.#lookedAt < LOOK && !openCall(branch)) return;
    this.#lookedAt = now;
    this.#thinks = active && thinks(branch, race);
    const found = actsOf(branch, race, axis === "tokens");
    const drawn = `${axis} ${end} ${JSON.stringify(found)}`;
    if (drawn === this.#drawnActs) return;
    this.#drawnActs = drawn;
    const share = (value) => Math.min(1, Math.max(0, value / end)).toFixed(4);
    this.#acts.replaceChildren(
      ...found.map(({ kind, from, to }) => {
        const act = make("span", kind);
        act.style.setProperty("--from", share(from));
        if (to !== null) act.style.setProperty("--to", share(to));
        return act;
      }),
    );
  }

  /** What it does at the moment, or what became of it. */
  #doing(branch) {
    const call = openCall(branch);
    if (call) return `waits for ${call.name}`;
    return this.#thinks && branch.status === "running" ? "thinking" : statusWord(branch.status);
  }

  /** In whole words, where the row has room for a few only. */
  #explain(branch, reason) {
    const fate = `${this.#doing(branch)}${reason ? `: ${reason}` : ""}`;
    const title = `Branch ${branch.index + 1}, ${fate}. Show all of its text`;
    if (this.#row.title !== title) this.#row.title = title;
  }

  #toggle() {
    this.#whole.hidden = !this.#whole.hidden;
    toggle(this.element, "data-open", this.open);
    this.#row.setAttribute("aria-expanded", String(this.open));
    if (this.open && this.#branch) this.#drawWhole();
    else this.#clear();
  }

  #drawCalls(branch) {
    while (this.#calls.children.length > branch.calls.length) this.#calls.lastElementChild.remove();
    branch.calls.forEach((call, place) => {
      const known = this.#calls.children[place];
      const item = known ?? make("li", "", make("code"), " ", make("span"));
      if (!known) this.#calls.append(item);
      item.dir = "auto";
      write(item.children[0], called(call.name, call.arguments));
      write(item.children[1], aboutCall(call));
    });
  }

  /** A text that is not read takes no room. */
  #clear() {
    this.#shown = "";
    this.#prose.replaceChildren();
    this.#text.data = "";
  }

  #drawWhole() {
    const branch = this.#branch;
    write(this.#facts, about(branch));
    this.#drawCalls(branch);
    const text = wholeText(branch);
    const grows = isActive(branch);
    this.#written.open ||= grows;
    const shown = this.#text.data;
    if (text !== shown && shown && text.startsWith(shown)) this.#text.appendData(text.slice(shown.length));
    else if (text !== shown) this.#text.data = text;
    if (grows) {
      if (this.#shown) this.#prose.replaceChildren();
      this.#shown = "";
    } else if (text !== this.#shown) {
      this.#shown = text;
      this.#written.open = false;
      this.#prose.replaceChildren(...sections(text, this.#race.thinking));
      markEdges(this.#prose);
    }
  }
}

function lastWords(text) {
  return readableText(withCalls(text)).replace(/\s+/g, " ");
}

/** What a running branch would have answered when it was last asked on the way. */
function guess(branch) {
  const answer = branch.probes.at(-1)?.answer;
  return answer === undefined || answer === null ? "" : `${readableText(answer)}?`;
}

function aboutCall({ outcome, result, tokens, from, to, shared }) {
  const told = [`after ${count(tokens)} tokens`];
  if (shared) told.push("run once for all branches that ask it");
  if (outcome === null) return `${told.join("; ")}; it is waited for.`;
  told.push(`${outcomeWord(outcome)} after ${seconds((to ?? from) - from)}`);
  return `${told.join("; ")}${result === null ? "." : `: ${result}`}`;
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
  const score = branch.scores.at(-1)?.score ?? null;
  if (score !== null) told.push(`score ${score.toFixed(3)}`);
  if (branch.reason) told.push(`${statusWord(branch.status)}: ${whyEnded(branch.reason)}`);
  return `${told.join("; ")}.`;
}
