// What is asked: the question, the deadline, the strategy with its parameters, the branches.

import { byId, make, toggle, write } from "./elements.js";

const KEY = "frontrunner.key";

const fields = {
  question: byId("question"),
  deadline: byId("deadline"),
  branches: byId("branches"),
  strategy: byId("strategy"),
  parameters: byId("parameters"),
  key: byId("key"),
};

let offered = null;

export function apiKey() {
  return fields.key.value.trim() || sessionStorage.getItem(KEY) || "";
}

export function isKeyed() {
  return !byId("key-field").hidden;
}

/** Show the field for an API key, and go there. */
export function askForKey() {
  byId("key-field").hidden = false;
  fields.key.focus();
}

/**
 * Fill the fields with what the server offers.
 *
 * Resolves to whether that worked; otherwise `problem` is called with what is wrong.
 */
export async function loadOffer(problem) {
  const key = apiKey();
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
  fields.strategy.replaceChildren(
    ...offer.strategies.map(({ name, available }) => {
      const words = available ? name : `${name} (needs a reward model)`;
      const option = new Option(words, name, false, name === offer.defaults.strategy);
      option.disabled = !available;
      return option;
    }),
  );
  fields.strategy.addEventListener("change", drawStrategy);
  drawStrategy();
}

function drawStrategy() {
  const strategy = offered.strategies.find(({ name }) => name === fields.strategy.value);
  write(byId("strategy-summary"), strategy.summary);
  const own = strategy.name === offered.defaults.strategy ? offered.defaults.parameters : {};
  toggle(byId("parameters-field"), "hidden", strategy.parameters.length === 0);
  fields.parameters.replaceChildren(
    ...strategy.parameters.map((parameter) => {
      const input = parameterInput(parameter, own[parameter.name] ?? parameter.default);
      input.id = `parameter-${parameter.name}`;
      input.name = parameter.name;
      input.dataset.kind = parameter.kind;
      const label = make("label", "", parameter.name);
      label.htmlFor = input.id;
      return make("div", "field", label, input);
    }),
  );
}

/** Left empty, it is as the server has it. */
function parameterInput({ kind, choices }, standard) {
  const said = standard === null ? "none" : kind === "text" ? JSON.stringify(standard) : standard;
  if (kind === "choice" || kind === "switch") {
    const options = kind === "choice" ? choices : ["true", "false"];
    const select = make("select");
    select.append(
      new Option(`${said} (default)`, ""),
      ...options.map((value) => new Option(value, value)),
    );
    return select;
  }
  const input = make("input");
  input.type = kind === "text" ? "text" : "number";
  if (kind !== "text") input.step = kind === "integer" ? "1" : "any";
  input.placeholder = String(said);
  return input;
}

/** The request that the form says, in the form of the Responses API. */
export function readRequest() {
  const race = {
    deadline: number(fields.deadline),
    branches: number(fields.branches),
    strategy: fields.strategy.value,
  };
  const parameters = readParameters();
  if (Object.keys(parameters).length > 0) race.parameters = parameters;
  for (const name of Object.keys(race)) if (race[name] === null) delete race[name];
  return { model: offered?.model ?? null, input: fields.question.value, frontrunner: race };
}

function readParameters() {
  const given = {};
  for (const input of fields.parameters.querySelectorAll("input, select")) {
    if (input.value === "") continue;
    const { kind } = input.dataset;
    if (kind === "switch") given[input.name] = input.value === "true";
    else if (kind === "text" || kind === "choice") given[input.name] = input.value;
    else given[input.name] = Number(input.value);
  }
  return given;
}

function number(input) {
  return input.value === "" ? null : Number(input.value);
}
