// The list of earlier races of this browser.

import { byId, make, toggle, write } from "./elements.js";
import { body, forgetAll, heads } from "./history.js";
import { seconds } from "./words.js";

/** Characters of a question in the list. */
const TITLE = 90;

/** Draw the list, latest first; `show(head, body)` is called with the race that someone picks. */
export async function drawEarlier(show) {
  const list = await heads();
  toggle(byId("earlier"), "hidden", list.length === 0);
  write(byId("earlier-title"), `Earlier races (${list.length})`);
  byId("earlier-list").replaceChildren(...list.map((head) => entry(head, show)));
  byId("forget").onclick = async () => {
    await forgetAll();
    await drawEarlier(show);
  };
}

function entry(head, show) {
  const question = make("span", "asked", head.question.slice(0, TITLE));
  question.dir = "auto";
  const answer = make("bdi", "", (head.answer ?? head.status).slice(0, 40));
  const when = new Date(head.when).toLocaleString();
  const told = make("span", "hint", answer, ` after ${seconds(head.at)}, ${when}`);
  const button = make("button", "", question, told);
  button.type = "button";
  button.addEventListener("click", async () => {
    const kept = await body(head.id);
    if (kept) show(head, kept);
  });
  return make("li", "", button);
}
