// The page's modules that draw nothing. Run by test_page_modules.py.

import assert from "node:assert/strict";
import { test } from "node:test";
import { pathToFileURL } from "node:url";

const load = (name) => import(pathToFileURL(`${process.env.PAGE}/${name}.js`));
const { asCurl, asPython } = await load("code");
const { GrowingText } = await load("growing_text");
const { Player, Recording } = await load("recording");
const { newRace, wholeText } = await load("state");
const words = await load("words");

const BASE = "http://localhost/v1";

test("a request as curl survives the shell's quotes", () => {
  const request = { model: "m", input: "What's 'it'?", frontrunner: { deadline: 5 } };
  const code = asCurl(BASE, request, false);
  assert.ok(code.startsWith(`curl ${BASE}/responses`));
  const body = code.slice(code.indexOf("-d '") + 4, code.lastIndexOf("'"));
  assert.deepEqual(JSON.parse(body.replaceAll("'\\''", "'")), { ...request, stream: false });
  assert.ok(!code.includes("Authorization"));
  assert.ok(asCurl(BASE, request, true).includes("Bearer $FRONTRUNNER_API_KEY"));
});

test("a request as Python has Python's literals", () => {
  const frontrunner = { deadline: 2.5, parameters: { stop: null, all: [true, false], s: 'a"b' } };
  const code = asPython(BASE, { model: "m", input: "a\nb", frontrunner }, false);
  const literal = `{"deadline": 2.5, "parameters": {"stop": None, "all": [True, False], "s": "a\\"b"}}`;
  assert.ok(code.includes(`extra_body={"frontrunner": ${literal}}`), code);
  assert.ok(code.includes(`input="a\\nb"`));
  assert.ok(!code.includes("import os"));
  assert.ok(asPython(BASE, { model: "m", input: "", frontrunner }, true).startsWith("import os\n"));
});

test("a text counts code points and tokens, and can be cut back", () => {
  const text = new GrowingText();
  text.append("a😀b", 3);
  text.append("cd", 2);
  assert.deepEqual([text.text, text.tokens, text.length], ["a😀bcd", 5, 6]);
  assert.deepEqual([0, 1, 2, 3, 99].map((n) => text.lengthOf(n)), [0, 1, 3, 4, 6]);
  assert.deepEqual([0, 2, 3, 4, 5].map((n) => text.lengthAfter(n)), [0, 0, 4, 4, 6]);
  const copy = text.copy(4, 3);
  copy.append("x", 1);
  assert.deepEqual([copy.text, copy.tokens, copy.lengthAfter(3)], ["a😀bx", 4, 4]);
  text.cut(1, 1);
  assert.deepEqual([text.text, text.tokens], ["a", 1]);
});

const started = (branch, at) => ({
  type: "frontrunner.branch.started", branch, parent: null, inherited_tokens: 0, at,
});
const delta = (branch, at, text, forced = false) => ({
  type: "frontrunner.branch.delta", branch, at, text, tokens: 1, forced,
});

test("a recording shows every moment, and joins pieces that came together", () => {
  const recording = new Recording();
  recording.add(started(0, 0), 0);
  for (const [at, piece] of [[0.5, "a"], [0.51, "b"], [1, "c"], [1.01, "d"]]) {
    recording.add(delta(0, at, piece), at);
  }
  recording.add(delta(0, 1.02, "7", true), 1.02);
  recording.add({ type: "unknown" }, 0.3); // says no time, and comes last
  assert.equal(recording.duration, 1.02);
  const at = (seconds) => {
    const { race, count } = recording.forward(newRace(), 0, seconds);
    return [wholeText(race.branches.get(0)), count];
  };
  assert.deepEqual(at(-1), ["", 1]);
  assert.deepEqual(at(0.5), ["ab", 2]);
  assert.deepEqual(at(1), ["abcd", 3]);
  assert.deepEqual(at(5), ["abcd7", 5]);
});

test("a player goes forth and back", () => {
  const recording = new Recording();
  recording.add(started(0, 0), 0);
  recording.add(delta(0, 1, "a"), 1);
  recording.add(delta(0, 2, "b"), 2);
  const shown = [];
  const player = new Player(recording, (race, at, playing) => {
    shown.push([wholeText(race.branches.get(0)), at, playing]);
  });
  for (const at of [1.5, 2, 0.5, 9, -1]) player.seek(at);
  assert.deepEqual(shown, [
    ["a", 1.5, false], ["ab", 2, false], ["", 0.5, false], ["ab", 2, false], ["", 0, false],
  ]);
});

test("what has a word is said in words, and what has none as it is", () => {
  assert.equal(words.statusWord("failed"), "lost");
  assert.equal(words.statusWord("odd"), "odd");
  assert.equal(words.stopReason("odd"), "odd");
  assert.equal(words.whyEnded("odd"), "odd");
  assert.equal(words.advice("odd"), words.advice("invalid_request"));
  assert.deepEqual([0.123, 12.34].map(words.seconds), ["0.12 s", "12.3 s"]);
  assert.deepEqual([5, 0.25].map(words.limit), ["5 s", "0.25 s"]);
  assert.deepEqual([1, 3].map(words.times), ["once", "3 times"]);
  assert.equal(words.count(1234567), "1,234,567");
  assert.equal(words.branchCounts({ launched: 9, finished: 7, forced: 0, failed: 2 }), "7 finished, 2 lost");
  assert.equal(words.branchCounts({ launched: 0 }), "none");
});
