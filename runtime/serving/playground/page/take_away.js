// What can be taken from a race that has ended: its answer, its trace, a page of it.

import { byId, make, write } from "./elements.js";
import { asHtml, asTrace } from "./share.js";

/**
 * `current()` gives the race that is shown: `{race, recording, asked, question, model}`; `say(text)` tells
 * those who hear it what happened.
 */
export function offerToTakeAway(current, say) {
  byId("copy-answer").addEventListener("click", () => {
    const { race } = current();
    copyFrom(byId("copy-answer"), replyOf(race), byId("standing-answer"), say);
  });
  byId("save-html").addEventListener("click", () => {
    const { race, recording, asked, question, model } = current();
    const saved = { asked, events: recording.events };
    save(`${race.raceId || "race"}.html`, "text/html", asHtml(race, question, model, saved));
  });
  byId("save-trace").addEventListener("click", () => {
    const { race, recording, question } = current();
    save(`${race.raceId || "race"}.jsonl`, "application/jsonl", asTrace(recording.events, question));
  });
}

/** The answer, or what was replied where none was voted on. */
export function replyOf(race) {
  return race.outcome?.summary?.answer ?? race.outcome?.text ?? "";
}

/** Copy `text`; where a browser does not allow it (a page without TLS), select it in `source`. */
export async function copyFrom(button, text, source, say) {
  const name = button.dataset.name;
  button.dataset.was ??= button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    say(`Copied ${name}.`);
    write(button, "Copied");
  } catch {
    getSelection().selectAllChildren(source);
    say("Selected. Press Ctrl+C to copy.");
    write(button, "Selected: Ctrl+C");
  }
  button.addEventListener("blur", () => write(button, button.dataset.was), { once: true });
}

function save(name, type, text) {
  const address = URL.createObjectURL(new Blob([text], { type }));
  const link = make("a");
  link.href = address;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
