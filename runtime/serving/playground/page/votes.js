// The vote as bars: finished votes solid, forced ones hatched.

import { make, toggle, write } from "./elements.js";
import { writeAnswer } from "./lead.js";
import { ranking } from "./state.js";

/** Answers that get a bar. */
const MOST = 6;
const WEIGHT =
  "Votes do not count alike here: what each weighs for the strategy depends on when it came, or on how good or sure its branch is.";

export class Votes {
  #list;
  #more;
  #bars = new Map(); // by answer

  constructor(list, more) {
    this.#list = list;
    this.#more = more;
  }

  draw(race) {
    const ranked = ranking(race).map((answer) => entryOf(race, answer));
    const shown = ranked.slice(0, MOST);
    const answers = new Set(shown.map(({ answer }) => answer));
    for (const [answer, bar] of this.#bars) {
      if (answers.has(answer)) continue;
      bar.element.remove();
      this.#bars.delete(answer);
    }
    // Of all branches that may vote: so the bars say how far the vote has come.
    const voters = Math.max(race.maxBranches, ...ranked.map((entry) => entry.votes + entry.forced), 1);
    shown.forEach((entry, place) => {
      const bar = this.#bars.get(entry.answer) ?? this.#add(entry.answer);
      bar.draw(entry, place, voters, entry.answer === race.leader);
    });
    this.#list.style.setProperty("--places", String(shown.length));
    const others = ranked.length - shown.length;
    toggle(this.#more, "hidden", ranked.length > 0 && others === 0);
    write(this.#more, ranked.length === 0 ? race.outcome ? "No votes." : "No votes yet." : `and ${others} more answers`);
  }

  #add(answer) {
    const bar = new Bar(answer);
    this.#bars.set(answer, bar);
    this.#list.append(bar.element);
    return bar;
  }
}

class Bar {
  #name = make("span", "name");
  #answer;
  #votes = make("span", "votes");
  #forced = make("span", "forced");
  #count = make("span", "count");

  constructor(answer) {
    this.#answer = answer;
    this.#name.title = answer;
    this.#name.dir = "auto";
    this.element = make(
      "li", "bar", this.#name, make("span", "extent", this.#votes, this.#forced), this.#count,
    );
  }

  draw({ votes, forced, weight }, place, voters, leads) {
    writeAnswer(this.#name, this.#answer);
    this.element.style.setProperty("--place", String(place));
    this.#votes.style.setProperty("--share", String(votes / voters));
    this.#forced.style.setProperty("--share", String(forced / voters));
    toggle(this.element, "data-leads", leads);
    const said = votes > 0 || forced === 0 ? [String(votes)] : [];
    if (forced > 0) said.push(`${forced} forced`);
    const weighed = weight === null ? "" : `, weight ${weight.toFixed(2)}`;
    write(this.#count, said.join(" + ") + weighed);
    this.#count.title = weight === null ? "" : WEIGHT;
  }
}

/** `weight` is null where it is no more than the number of votes. */
function entryOf({ votes, forcedVotes, weights }, answer) {
  const entry = { answer, votes: votes[answer] ?? 0, forced: forcedVotes[answer] ?? 0 };
  const counted = entry.votes || entry.forced;
  const weight = weights[answer] ?? counted;
  return { ...entry, weight: weight === counted ? null : weight };
}
