// The page: starts races, keeps what they tell, and draws it once a frame.

import { asCurl, asPython } from "./code.js";
import { Connection } from "./connection.js";
import { drawCourse } from "./course.js";
import { byId, toggle, write } from "./elements.js";
import { apiKey, askForKey, isKeyed, loadOffer, readRequest } from "./form.js";
import { Lanes } from "./lanes.js";
import { Player, Recording } from "./recording.js";
import { announcement, drawStanding } from "./standing.js";
import { apply, lose, newRace } from "./state.js";
import { Votes } from "./votes.js";
import { advice, seconds } from "./words.js";

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

const form = byId("ask");
const lanes = new Lanes(byId("lanes"), byId("lanes-more"));
const votes = new Votes(byId("votes"), byId("votes-more"));

let connection = null; // of the race that runs
let race = newRace();
let recording = new Recording();
let player = null; // of the race that has ended
let began = 0; // of the race, on this page's clock, in milliseconds
let drawing = false;
let arriving = false; // go to the race as soon as its lanes are there
let ready = false; // the server said what it offers

// ── a race ──────────────────────────────────────────────────────────────────────────────────────

async function start() {
  if (connection || !form.reportValidity()) return;
  showProblem(null);
  if (!ready) ready = await loadOffer(showProblem);
  if (!ready || connection) return;
  player?.pause();
  player = null;
  race = newRace();
  recording = new Recording();
  began = performance.now();
  const request = readRequest();
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
    if (event.type === "frontrunner.race.started") began = performance.now() - event.at * 1000;
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
  away(back) {
    write(byId("connection"), back ? "" : "Connection lost. Trying to come back.");
  },
};

function hasEnded(response) {
  return response.status !== "in_progress" && response.status !== "queued";
}

function finish() {
  stop();
  say(announcement(race));
  if (race.outcome.error) showProblem({ ...race.outcome.error, code: "engine_error" });
  player = new Player(recording, showMoment);
  showMoment(race, player.duration, false);
}

/** The race may go on, but is not heard of. */
function lost() {
  stop();
  if (race.deadline === null) return;
  lose(race, now());
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
  requestAnimationFrame(() => {
    drawing = false;
    drawRace(race, race.outcome ? race.outcome.at : now());
    if (arriving && race.branches.size > 0) {
      arriving = false;
      goToRace();
    }
    if (connection) draw();
  });
}

function drawRace(shown, at) {
  drawCourse(shown, at);
  lanes.draw(shown);
  votes.draw(shown);
  drawStanding(shown);
}

function showRunning(running) {
  const button = byId("cancel");
  if (!running && document.activeElement === button) byId("start").focus();
  button.hidden = !running;
  byId("start").setAttribute("aria-disabled", String(running));
  byId("race").setAttribute("aria-busy", String(running));
  if (running) byId("replay").hidden = true;
}

function showMoment(shown, at, playing) {
  drawRace(shown, at);
  showReplay(at, playing);
}

function showReplay(at, playing) {
  byId("replay").hidden = false;
  write(byId("play"), playing ? "Pause" : "Replay");
  const moment = byId("moment");
  moment.max = player.duration.toFixed(2);
  moment.value = at.toFixed(2);
  moment.setAttribute("aria-valuetext", `${at.toFixed(1)} seconds`);
  write(byId("moment-said"), seconds(at));
}

/** Where the form fills the screen, the race is below it. */
function goToRace() {
  const { top } = byId("race").getBoundingClientRect();
  if (top >= 0 && top < innerHeight / 4) return;
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  byId("race").scrollIntoView({ behavior: calm ? "auto" : "smooth" });
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
  const told = error.code === "unreachable" ? UNREACHABLE : error;
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

async function copy(button) {
  const source = byId(button.dataset.copies);
  drawCode();
  try {
    await navigator.clipboard.writeText(source.textContent);
    say(`Copied as ${button.dataset.name}.`);
    write(button, "Copied");
  } catch {
    // Not on a page without TLS: then it is selected, to be copied by hand.
    byId("code").open = true;
    getSelection().selectAllChildren(source);
    say("Selected. Press Ctrl+C to copy.");
    write(button, "Selected: Ctrl+C");
  }
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
for (const button of document.querySelectorAll("[data-copies]")) {
  button.addEventListener("click", () => copy(button));
  button.addEventListener("blur", () => write(button, `Copy as ${button.dataset.name}`));
}
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
document.documentElement.dataset.ready = "";
