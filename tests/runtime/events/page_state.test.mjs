// The page's state of a race, held to the recorded streams. Run by test_page_state.py, which writes
// them as the server sends them.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { pathToFileURL } from "node:url";

const { PAGE, WIRE } = process.env;
const { apply, newRace, ranking } = await import(pathToFileURL(`${PAGE}/state.js`));

/** As `RaceState.to_dict` in Python says it. */
function told(race) {
  return {
    race_id: race.raceId,
    at: race.at,
    deadline: race.deadline,
    max_branches: race.maxBranches,
    branches: [...race.branches.values()].map(toldBranch),
    votes: race.votes,
    forced_votes: race.forcedVotes,
    weights: race.weights,
    leader: race.leader,
    ranking: ranking(race),
    called_at: race.calledAt,
    decided: race.outcome !== null,
  };
}

function toldBranch(branch) {
  return {
    index: branch.index,
    parent: branch.parent,
    inherited_tokens: branch.inheritedTokens,
    status: branch.status,
    tokens: branch.tokens,
    answer: branch.answer,
    reason: branch.reason,
    asked_tokens: branch.askedTokens,
    extensions: branch.extensions,
    probes: branch.probes,
    scores: branch.scores,
    calls: branch.calls.map(({ call, name, outcome, result, arguments: given }) => ({
      call, name, arguments: given, outcome, result,
    })),
    started_at: branch.startedAt,
    ended_at: branch.endedAt,
    text: branch.own.text,
    forced_text: branch.forced.text,
  };
}

/** The decision comes with the end of the response. */
function asResponse(event) {
  if (event.type !== "frontrunner.race.decided") return event;
  const response = { status: "completed", error: null, output: [], frontrunner: event };
  return { type: "response.completed", at: event.at, response };
}

for (const name of readdirSync(WIRE)) {
  const { events, states } = JSON.parse(readFileSync(`${WIRE}/${name}`, "utf8"));
  test(name, () => {
    const race = newRace();
    events.forEach((event, place) => {
      apply(race, asResponse(event));
      const expected = states[place + 1];
      if (expected) assert.deepEqual(told(race), expected);
    });
    assert.ok(states[events.length]);
  });
}
