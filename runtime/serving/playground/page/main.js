// The page: starts races, keeps what they tell, and draws it once a frame.

import { asCurl, asPython } from "./code.js";
import { Connection } from "./connection.js";
import { questionOf, turnsAfter } from "./conversation.js";
import { drawEarlier } from "./earlier.js";
import { byId, toggle, write } from "./elements.js";
import {
  apiKey, askForKey, goToQuestion, isKeyed, loadOffer, modelName, readRequest, setQuestion, setTurns,
} from "./form.js";
import { keep } from "./history.js";
import { racesIn } from "./imported.js";
import { loadProse } from "./lead.js";
import { Player, Recording } from "./recording.js";
import { announcement } from "./standing.js";
import { apply, lose, newRace } from "./state.js";
import { copyFrom, offerToTakeAway, replyOf } from "./take_away.js";
import { replaySpeed } from "./time_scale.js";
import { drawRace, rememberLengths } from "./view.js";
import { advice, seconds, sentence } from "./words.js";

const BASE = new URL("v1", document.baseURI).href;
const SOCKET = `${BASE.replace(/^http/, "ws")}/responses`;
const UNREACHABLE = {
  code: "unreachable",
  message: "The server cannot be reached.",
  todo: "See that it runs and that this page's address is its own, and try again.",
};
const REFUSED = {
  code: "refused",
  message: "The server did not accept the connection.",
  todo:
    "It may be about to end, or know this page under another address, or a proxy in between lets " +
    "no websockets through.",
};
const LOST = {
  code: "lost",
  message: "The connection was lost, and the race could not be found again.",
  todo: "Start it again.",
};
const MISSED = {
  code: "events_expired",
  message: "This page was away for too long, or too slow, and missed a part of the race.",
};
/** What the page says better than the server, by code. */
const SAID = { unreachable: UNREACHABLE, events_expired: MISSED };
const OPENABLE =
  "Choose a page or a trace that was saved here, or what solve --trace or solve --json wrote.";
/** Races of a file that are kept: no more earlier ones are. */
const MOST_RACES = 30;
/** Bytes of a file that is opened. */
const LARGEST_FILE = 64_000_000;
/** Milliseconds between two drawings of many branches, so that a browser has time for the rest. */
const CALM = 80;

const form = byId("ask");

let connection = null; // of the race that runs
let race = newRace();
let recording = new Recording();
let player = null; // of the race that has ended
let asked = { input: "", model: "" }; // of the race that is shown
let began = 0; // of the race, on this page's clock, in milliseconds
let drawing = false;
let drawnAt = 0; // on the page's clock
let arriving = false; // go to the race as soon as its lanes are there
let ready = false; // the server said what it offers

// ── a race ──────────────────────────────────────────────────────────────────────────────────────

async function start() {
  if (connection) return;
  showProblem(null); // else it would stand beside what the browser finds now
  // Before its fields are looked at: until then they are empty.
  if (!ready) ready = await loadOffer(showProblem);
  if (!ready || connection || !form.reportValidity()) return;
  leaveReplay();
  race = newRace();
  recording = new Recording();
  began = performance.now();
  const request = readRequest();
  asked = { input: request.input, model: request.model };
  const told = { events: true, on_disconnect: "continue" }; // it can be come back to
  connection = new Connection(SOCKET, apiKey(), listener);
  connection.start({ ...request, frontrunner: { ...request.frontrunner, ...told } });
  showRunning(true);
  say("The race starts.");
  draw();
  toggle(byId("race"), "data-idle", false);
  arriving = true;
}

function cancel() {
  connection?.cancel();
}

const listener = {
  event(event) {
    if (typeof event.at === "number") {
      // Events come late at times, and never early: the soonest of them tells when it began.
      const since = performance.now() - event.at * 1000;
      began = event.type === "frontrunner.race.started" ? since : Math.min(began, since);
    }
    const last = event.type.startsWith("response.") && event.response && hasEnded(event.response);
    if (last) event.at = event.response.frontrunner?.elapsed ?? now();
    if (last || event.type.startsWith("frontrunner.")) {
      recording.add(event, now());
      apply(race, event);
      draw();
    }
    if (last) finish();
  },
  refused(error) {
    lost();
    showProblem(error);
  },
  async unreachable(begun) {
    lost();
    // A browser does not say why a websocket was refused: ask in a way that does.
    if (await loadOffer(showProblem)) showProblem(begun ? LOST : REFUSED);
  },
  missed() {
    race.away = true;
    draw();
    write(byId("connection"), "Part of the race was not seen. Its result is waited for.");
  },
  away(back) {
    race.away = !back;
    draw();
    write(byId("connection"), back ? "" : "Connection lost. Trying to come back.");
  },
};

function hasEnded(response) {
  return response.status !== "in_progress" && response.status !== "queued";
}

async function finish() {
  stop();
  say(announcement(race));
  const { error } = race.outcome;
  if (error) showProblem({ message: sentence(error.message), code: "engine_error" });
  rememberLengths(race);
  beginReplay();
  await keepRace();
}

/** The race may go on, but is not heard of: it is shown as it was when it was. */
function lost() {
  stop();
  if (race.deadline === null) return;
  lose(race, race.at);
  draw();
}

function stop() {
  connection = null;
  write(byId("connection"), "");
  showRunning(false);
}

function now() {
  return (performance.now() - began) / 1000;
}

// ── drawing ─────────────────────────────────────────────────────────────────────────────────────

/** Draw with the next frame, and go on for as long as time passes. */
function draw() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame((time) => {
    drawing = false;
    const many = race.branches.size > 16 && race.outcome === null;
    if (!many || time - drawnAt >= CALM) {
      drawnAt = time;
      if (player === null) drawRace(race, race.outcome ? race.outcome.at : now());
      // Its lanes are there now, so that it can be scrolled to.
      if (arriving && race.branches.size > 0) {
        arriving = false;
        goToRace();
      }
    }
    if (connection) draw();
  });
}

function showRunning(running) {
  const button = byId("cancel");
  if (!running && document.activeElement === button) byId("start").focus();
  button.hidden = !running;
  byId("start").setAttribute("aria-disabled", String(running));
  byId("race").setAttribute("aria-busy", String(running));
}

/** Where the form fills the screen, the race is below it; and many lanes need all of the screen. */
function goToRace() {
  const { top } = byId("race").getBoundingClientRect();
  if (top >= 0 && top < innerHeight / 4 && !byId("race").hasAttribute("data-many")) return;
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  byId("race").scrollIntoView({ behavior: calm ? "auto" : "smooth" });
}

// ── a race that has ended ───────────────────────────────────────────────────────────────────────

function beginReplay() {
  player = new Player(recording, showMoment);
  player.speed = replaySpeed(player.duration);
  byId("speed").value = String(player.speed);
  byId("take-away").hidden = false;
  const copies = byId("copy-answer");
  const [said, name] = race.outcome.summary?.answer == null ? ["Copy text", "the text"] : ["Copy answer", "the answer"];
  write(copies, said);
  Object.assign(copies.dataset, { name, was: said });
  for (const id of ["copy-answer", "follow-up"]) byId(id).hidden = !race.outcome.summary || !replyOf(race);
  showMoment(race, player.duration, false);
}

function leaveReplay() {
  player?.pause();
  player = null;
  for (const id of ["replay", "take-away"]) byId(id).hidden = true;
}

function showMoment(shown, at, playing) {
  drawRace(shown, at, player.duration);
  byId("replay").hidden = false;
  write(byId("play"), playing ? "Pause" : "Replay");
  const moment = byId("moment");
  moment.max = player.duration.toFixed(2);
  moment.value = at.toFixed(2);
  moment.setAttribute("aria-valuetext", `${at.toFixed(1)} seconds`);
  write(byId("moment-said"), seconds(at));
}

async function keepRace() {
  if (await keep(headOf(race, asked), asked, recording.events)) await drawEarlier(showEarlier);
}

/** What the list of earlier races shows of one. */
function headOf(ended, { input }) {
  const { outcome } = ended;
  return {
    when: Date.now(),
    question: questionOf(input),
    answer: outcome.summary ? replyOf(ended) : null,
    status: outcome.status,
    at: outcome.at,
  };
}

/** Show a race that was kept, as if it had ended just now. */
function showEarlier(head, kept) {
  if (connection) return say("Cancel the race that runs first.");
  leaveReplay();
  showProblem(null);
  asked = kept.asked;
  ({ race, recording } = played(kept.events));
  toggle(byId("race"), "data-idle", false);
  beginReplay();
  say(`An earlier race. ${announcement(race)}`);
  goToRace();
}

/** A race that has ended, of its events. */
function played(events) {
  const ended = { race: newRace(), recording: new Recording() };
  for (const event of events) {
    ended.recording.add(event, event.at);
    apply(ended.race, event);
  }
  return ended;
}

/** Show the first race of a file, and keep all of them with the earlier ones. */
async function openFile(file) {
  if (connection) return say("Cancel the race that runs first.");
  let races;
  try {
    if (file.size > LARGEST_FILE) throw new Error("The file is larger than 64 MB.");
    races = racesIn(await file.text());
    // One that cannot be played is no race, whatever else it looks like.
    for (const saved of races.slice(0, MOST_RACES).reverse()) {
      const head = headOf(played(saved.events).race, saved.asked);
      await keep(head, saved.asked, saved.events);
    }
  } catch (error) {
    return showProblem({ message: `The file ${file.name} cannot be opened. ${error.message}`, todo: OPENABLE });
  }
  await drawEarlier(showEarlier);
  showEarlier(null, races[0]);
  if (races.length > 1) {
    byId("earlier").open = true;
    say(`The first of ${races.length} races. The others are under Earlier races.`);
  }
}

function followUp() {
  setTurns(turnsAfter(asked.input, race.outcome.text || replyOf(race)));
  setQuestion("");
  drawCode();
  goToQuestion();
}

// ── what is said ────────────────────────────────────────────────────────────────────────────────

function say(text) {
  write(byId("announcement"), text);
}

/** Say what is wrong and what to do about it; null: nothing is. */
function showProblem(error) {
  const box = byId("problem");
  toggle(box, "hidden", error === null);
  if (error === null) return;
  const told = SAID[error.code] ?? error;
  write(byId("problem-what"), told.message);
  write(byId("problem-todo"), told.todo ?? advice(told.code));
  if (error.code === "invalid_api_key") askForKey();
}

// ── the request as code ─────────────────────────────────────────────────────────────────────────

function drawCode() {
  const request = readRequest();
  write(byId("curl"), asCurl(BASE, request, isKeyed()));
  write(byId("python"), asPython(BASE, request, isKeyed()));
}

function copyCode(button) {
  const source = byId(button.dataset.copies);
  drawCode();
  byId("code").open = true;
  return copyFrom(button, source.textContent, source, say);
}

// ── the controls ────────────────────────────────────────────────────────────────────────────────

form.addEventListener("submit", (event) => {
  event.preventDefault();
  start();
});
form.addEventListener("input", drawCode);
byId("cancel").addEventListener("click", cancel);
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    start();
  } else if (event.key === "Escape") {
    cancel();
  }
});
byId("play").addEventListener("click", () => (player.playing ? player.pause() : player.play()));
byId("moment").addEventListener("input", (event) => {
  player.pause();
  player.seek(Number(event.target.value));
});
byId("speed").addEventListener("change", (event) => {
  if (player) player.speed = Number(event.target.value);
});
byId("open-saved").addEventListener("click", () => byId("open-file").click());
byId("open-file").addEventListener("change", async ({ target }) => {
  const [file] = target.files;
  if (file) await openFile(file);
  target.value = ""; // or the same file could not be opened again
});
byId("follow-up").addEventListener("click", followUp);
byId("new-conversation").addEventListener("click", () => {
  setTurns([]);
  drawCode();
  goToQuestion();
});
for (const button of document.querySelectorAll("[data-copies]")) {
  button.addEventListener("click", () => copyCode(button));
}
offerToTakeAway(
  () => ({ race, recording, asked, question: questionOf(asked.input), model: asked.model ?? modelName() }),
  say,
);
byId("key").addEventListener("change", async () => {
  ready = await loadOffer(showProblem);
  if (!ready) return;
  showProblem(null);
  drawCode();
});
addEventListener("pagehide", () => connection?.leave());

ready = await loadOffer(showProblem);
if (ready) drawCode();
drawRace(race, 0);
await drawEarlier(showEarlier);
document.documentElement.dataset.ready = "";
await loadProse();
if (player) player.seek(player.at);
