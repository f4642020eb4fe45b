// What is asked: the question and the turns before it, the deadline, the strategy with its
// parameters, the branches, how tokens are drawn, what an answer is.

import { inputOf } from "./conversation.js";
import { byId, make, toggle, write } from "./elements.js";

const KEY = "frontrunner.key";

const fields = {
  question: byId("question"),
  deadline: byId("deadline"),
  branches: byId("branches"),
  strategy: byId("strategy"),
  parameters: byId("parameters"),
  system: byId("system"),
  temperature: byId("temperature"),
  answers: byId("answers"),
  key: byId("key"),
};

let offered = null;
let loading = null; // the offer, while it is asked for
let turns = []; // before the question

export function apiKey() {
  return fields.key.value.trim() || sessionStorage.getItem(KEY) || "";
}

export function isKeyed() {
  return !byId("key-field").hidden;
}

export function modelName() {
  return offered?.model ?? "";
}

/** Show the field for an API key, and go there. */
export function askForKey() {
  byId("key-field").hidden = false;
  fields.key.focus();
}

/**
 * Fill the fields with what the server offers.
 *
 * Resolves to whether that worked; otherwise `problem` is called with what is wrong. Whoever asks
 * while it is asked for with the same key shares the reply.
 */
export async function loadOffer(problem) {
  const key = apiKey();
  if (loading?.key !== key) {
    const own = { key, promise: askOffer(key, problem) };
    loading = own;
    own.promise.finally(() => {
      if (loading === own) loading = null;
    });
  }
  return loading.promise;
}

async function askOffer(key, problem) {
  const headers = key ? { Authorization: `Bearer ${key}` } : {};
  let response;
  try {
    response = await fetch("playground/offer", { headers });
  } catch {
    problem({ code: "unreachable" });
    return false;
  }
  const body = await response.json().catch(() => ({}));
  if (!response.ok) {
    problem(body.error ?? { code: "unavailable", message: `HTTP status ${response.status}` });
    return false;
  }
  if (key) {
    sessionStorage.setItem(KEY, key);
    byId("key-field").hidden = false;
    fields.key.value = key;
  }
  if (offered === null) fill(body);
  return true;
}

function fill(offer) {
  offered = offer;
  write(byId("model"), offer.model);
  fields.deadline.value = offer.defaults.deadline;
  fields.deadline.max = offer.limits.deadline;
  fields.branches.value = offer.defaults.branches;
  fields.branches.max = offer.limits.branches;
  fields.temperature.placeholder = said(offer.defaults.temperature);
  fields.answers.replaceChildren(
    new Option(`${offer.defaults.answers} (default)`, ""),
    ...offer.answers.map((kind) => new Option(kind, kind)),
  );
  fields.strategy.replaceChildren(
    ...offer.strategies.map(({ name, needs }) => {
      const words = needs === null ? name : `${name} (needs ${needs})`;
      const option = new Option(words, name, false, name === offer.defaults.strategy);
      option.disabled = needs !== null;
      return option;
    }),
  );
  fields.strategy.addEventListener("change", drawStrategy);
  fields.parameters.addEventListener("change", drawUse);
  drawStrategy();
}

// ── parameters ──────────────────────────────────────────────────────────────────────────────────

function drawStrategy() {
  const strategy = offered.strategies.find(({ name }) => name === fields.strategy.value);
  write(byId("strategy-summary"), strategy.summary);
  const own = strategy.name === offered.defaults.strategy ? offered.defaults.parameters : {};
  toggle(byId("parameters-field"), "hidden", strategy.parameters.length === 0);
  const groups = new Map(); // by what they belong to
  for (const parameter of strategy.parameters) {
    const of = parameter.of.join(", ");
    if (!groups.has(of)) groups.set(of, make("fieldset", "group", make("legend", "", of ? `With ${of}` : "In general")));
    const group = groups.get(of);
    group.dataset.of = parameter.of.join(" ");
    group.append(parameterField(parameter, own[parameter.name] ?? parameter.default));
  }
  fields.parameters.replaceChildren(...groups.values());
  drawUse();
}

/** A group that has no meaning with what is chosen is not shown. */
function drawUse() {
  const chosen = new Set();
  const known = new Set();
  for (const select of fields.parameters.querySelectorAll("select[data-kind=choice]")) {
    chosen.add(select.value || select.dataset.standard);
    for (const option of select.options) known.add(option.value);
  }
  for (const group of fields.parameters.children) {
    const of = group.dataset.of.split(" ").filter(Boolean);
    const idle = of.length > 0 && of.every((name) => known.has(name) && !chosen.has(name));
    toggle(group, "hidden", idle);
    group.disabled = idle;
  }
}

function parameterField(parameter, standard) {
  const input = parameterInput(parameter, standard);
  input.id = `parameter-${parameter.name}`;
  input.name = parameter.name;
  input.dataset.kind = parameter.kind;
  const label = make("label", "", parameter.name.replaceAll("_", " "));
  label.htmlFor = input.id;
  const field = make("div", "field", label, input);
  if (parameter.about) {
    const hint = make("p", "hint", `${parameter.about[0].toUpperCase()}${parameter.about.slice(1)}`);
    hint.id = `about-${parameter.name}`;
    input.setAttribute("aria-describedby", hint.id);
    field.append(hint);
  }
  return field;
}

/** A value as people write it. */
function said(value) {
  if (value === null || value === undefined) return "none";
  if (value === true || value === false) return value ? "yes" : "no";
  if (typeof value === "number") return String(Number(value.toPrecision(6)));
  return /\s|^$/.test(String(value)) ? JSON.stringify(value) : String(value);
}

/** Left empty, it is as the server has it. */
function parameterInput({ kind, choices }, standard) {
  if (kind === "choice" || kind === "switch") {
    const values = kind === "choice" ? choices : [true, false];
    const select = make("select");
    select.dataset.standard = String(standard);
    select.append(
      new Option(`${said(standard)} (default)`, ""),
      ...values.map((value) => new Option(said(value), String(value))),
    );
    return select;
  }
  const input = make("input");
  input.type = kind === "text" ? "text" : "number";
  if (kind !== "text") input.step = kind === "integer" ? "1" : "any";
  input.placeholder = said(standard);
  return input;
}

function readParameters() {
  const given = {};
  for (const input of fields.parameters.querySelectorAll("input, select")) {
    if (input.value === "" || input.matches(":disabled")) continue;
    const { kind } = input.dataset;
    if (kind === "switch") given[input.name] = input.value === "true";
    else if (kind === "text" || kind === "choice") given[input.name] = input.value;
    else given[input.name] = Number(input.value);
  }
  return given;
}

// ── a conversation ──────────────────────────────────────────────────────────────────────────────

/** Go on from these turns; none: a new conversation. */
export function setTurns(before) {
  turns = before;
  toggle(byId("turns-field"), "hidden", turns.length === 0);
  byId("turns").replaceChildren(
    ...turns.map(({ role, content }) => {
      const text = make("span", "", content);
      text.dir = "auto";
      return make("li", role, make("b", "", role === "user" ? "You " : "Reply "), text);
    }),
  );
}

export function setQuestion(text) {
  fields.question.value = text;
}

export function goToQuestion() {
  fields.question.focus();
}

// ── the request ─────────────────────────────────────────────────────────────────────────────────

/** The request that the form says, in the form of the Responses API. */
export function readRequest() {
  const race = {
    deadline: number(fields.deadline),
    branches: number(fields.branches),
    strategy: fields.strategy.value,
    answers: fields.answers.value || null,
  };
  const parameters = readParameters();
  if (Object.keys(parameters).length > 0) race.parameters = parameters;
  for (const name of Object.keys(race)) if (race[name] === null) delete race[name];
  const request = { model: modelName() || null, input: inputOf(turns, fields.question.value) };
  if (fields.system.value.trim()) request.instructions = fields.system.value;
  if (fields.temperature.value !== "") request.temperature = number(fields.temperature);
  return { ...request, frontrunner: race };
}

function number(input) {
  return input.value === "" ? null : Number(input.value);
}
