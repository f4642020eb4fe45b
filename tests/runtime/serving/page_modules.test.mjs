// The page's modules that draw nothing. Run by test_page_modules.py.

import assert from "node:assert/strict";
import { test } from "node:test";
import { pathToFileURL } from "node:url";

const load = (name) => import(pathToFileURL(`${process.env.PAGE}/${name}.js`));
const { asCurl, asPython } = await load("code");
const { GrowingText } = await load("growing_text");
const { Player, Recording } = await load("recording");
const { apply, newRace, wholeText } = await load("state");
const { inputOf, questionOf, turnsAfter } = await load("conversation");
const { Finishes } = await load("finish");
const { takeFormulas } = await load("math_marks");
const { pieces, withCalls } = await load("calls_in_text");
const { tieBreak } = await load("decision");
const { byNumber, byWhatMatters, isFurthest, leadingBranch } = await load("order");
const { asHtml, asTrace } = await load("share");
const { racesIn } = await load("imported");
const { actsOf, openCall, thinks } = await load("acts");
const { parts, replyStart } = await load("thinking");
const { replaySpeed, scaleEnd } = await load("time_scale");
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
  assert.deepEqual([text.tail(2), copy.tail(9)], ["cd", "a😀bx"]);
  text.cut(1, 1);
  assert.equal(text.tail(9), "a");
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
  assert.equal(words.stopWord("odd"), "odd");
  assert.equal(words.advice("odd"), words.advice("invalid_request"));
  assert.deepEqual([0.123, 12.34].map(words.seconds), ["0.12 s", "12.3 s"]);
  assert.deepEqual([5, 0.25].map(words.limit), ["5 s", "0.25 s"]);
  assert.deepEqual([1, 3].map(words.times), ["once", "3 times"]);
  assert.deepEqual(
    [2.35, 12, 12.03].map((at) => words.beforeDeadline(12, at)),
    ["9.65 s before the deadline", "at the deadline", "0.03 s after the deadline"],
  );
  assert.equal(words.count(1234567), "1,234,567");
  assert.equal(words.branchCounts({ launched: 9, finished: 7, forced: 0, failed: 2 }), "7 finished, 2 lost");
  assert.equal(words.branchCounts({ launched: 0 }), "none");
});

const ended = (branch, at, status, answer, tokens = 10, reason = null) => ({
  type: "frontrunner.branch.ended", branch, at, status, answer, tokens, reason,
});
const raceOf = (...events) => {
  const race = newRace();
  const begun = { type: "frontrunner.race.started", at: 0, race_id: "r", deadline: 8, branches: 9 };
  for (const event of [begun, ...events]) apply(race, event);
  return race;
};

test("branches are shown by what matters", () => {
  const race = raceOf(
    ...[0, 1, 2, 3, 4, 5, 6, 7].map((index) => started(index, 0)),
    ended(0, 1, "failed", null), ended(1, 1, "cancelled", null, 5, "low score"),
    ended(2, 1, "finished", "7"), ended(4, 3, "finished", "42"), ended(5, 2, "finished", "42"),
    ended(6, 2, "forced", "42"), ended(7, 2, "finished", null),
    { type: "frontrunner.vote", at: 3, votes: { 42: 2, 7: 1 }, forced_votes: { 42: 1 }, leader: "42" },
  );
  assert.deepEqual(byWhatMatters(race), [5, 4, 6, 2, 3, 7, 1, 0]);
  assert.deepEqual(byNumber(race), [0, 1, 2, 3, 4, 5, 6, 7]);
  assert.equal(leadingBranch(race).index, 5);
});

test("while nothing leads the furthest branch speaks, or goes on to for a while", () => {
  const race = raceOf(started(0, 0), started(1, 0), started(2, 0));
  assert.equal(leadingBranch(newRace()), null);
  const [first, second, third] = race.branches.values();
  Object.assign(first, { tokens: 100 });
  Object.assign(second, { tokens: 101 });
  assert.equal(leadingBranch(race), second);
  assert.equal(leadingBranch(race, 0), first);
  assert.deepEqual([isFurthest(race, first), isFurthest(race, second)], [false, true]);
  Object.assign(first, { tokens: 101 });
  assert.deepEqual([isFurthest(race, first), isFurthest(race, second)], [true, true]);
  // One that has ended is held no more; and nothing is furthest beside one that got further.
  Object.assign(third, { tokens: 300, status: "cancelled" });
  assert.equal(leadingBranch(race, 2), first);
  assert.equal(isFurthest(race, first), false);
});

test("a race ends no earlier than what has been seen of it", () => {
  const race = raceOf(started(0, 0), delta(0, 4.9, "a"));
  const response = { status: "cancelled", error: null, output: [] };
  apply(race, { type: "response.incomplete", at: 4.1, response });
  assert.deepEqual([race.outcome.at, race.branches.get(0).endedAt], [4.9, 4.9]);
});

test("it is said by what an answer leads that has no more votes", () => {
  const standing = (votes, forced, leader, weights = {}) =>
    raceOf(
      ...[0, 1, 2, 3].map((index) => started(index, 0)),
      ended(0, 1, "finished", "7"), ended(1, 2, "finished", "8"),
      ended(2, 1, "forced", "5"), ended(3, 1, "forced", "6"),
      { type: "frontrunner.vote", at: 3, votes, forced_votes: forced, leader, weights },
    );
  const told = (...given) => tieBreak(standing(...given));
  assert.equal(told({}, {}, null), "");
  assert.equal(told({ 7: 2, 8: 1 }, {}, "7", { 7: 2.5, 8: 1 }), "");
  assert.equal(
    told({ 7: 2, 8: 2 }, {}, "7", { 7: 2.5, 8: 2 }),
    "A tie in votes, 2 to 2 with 8: it leads by weight, 2.50 to 2.00.",
  );
  assert.equal(
    told({ 7: 1, 8: 2 }, {}, "7", { 7: 2.5, 8: 2 }),
    "In votes 1 to 2 with 8: it leads by weight, 2.50 to 2.00.",
  );
  assert.equal(told({ 7: 1, 8: 2 }, {}, "7"), "In votes 1 to 2 with 8: the strategy goes by more than votes.");
  assert.equal(told({ 7: 1, 8: 1 }, { 8: 1 }, "8"), "A tie, 1 to 1 with 7: forced answers broke it.");
  const first = "the first of them to come in counts.";
  assert.equal(told({ 7: 1, 8: 1 }, {}, "7"), `A tie, 1 to 1 with 8: ${first}`);
  assert.equal(told({ 7: 1, 8: 1 }, {}, "8"), "A tie, 1 to 1 with 7: the strategy broke it.");
  assert.equal(told({}, { 5: 2, 6: 2 }, "5"), `A tie, 2 to 2 with 6: ${first}`);
  assert.equal(told({ 7: 1, 8: 1, 9: 1 }, {}, "7"), `A tie of 3 answers: ${first}`);
});

test("finishes are expected where this race's branches finished, else where earlier ones did", () => {
  const finishes = new Finishes();
  const first = raceOf(started(0, 0), started(1, 0), started(2, 0));
  assert.equal(finishes.expected(first), null);
  assert.equal(finishes.scale(first), 72);
  apply(first, ended(0, 1, "finished", "1", 100));
  apply(first, ended(1, 1, "finished", "1", 200));
  apply(first, ended(2, 1, "cancelled", null, 900));
  assert.equal(finishes.expected(first), 150);
  assert.ok(finishes.scale(first) > 900);
  finishes.remember(first);
  const second = raceOf(started(0, 0));
  assert.equal(finishes.expected(second), 150);
  assert.equal(finishes.scale(second), 180);
});

test("time is seen to the deadline, or to the decision, and a short race slowly", () => {
  const race = raceOf(started(0, 0));
  assert.equal(scaleEnd(race, 1, false), 8);
  assert.equal(scaleEnd(race, 1.5, true), 2);
  assert.equal(scaleEnd(race, 7.9, true), 8);
  assert.equal(scaleEnd(race, 0.1, true, 0.5), 0.54);
  race.outcome = { at: 0.5 };
  assert.equal(scaleEnd(race, 0.5, true), 0.54);
  assert.deepEqual([20, 6, 2, 0.5, 0.01].map(replaySpeed), [1, 1, 0.25, 0.05, 0.02]);
});

test("what was thought and what was said are taken apart", () => {
  const format = { start: "<think>", end: "</think>", position: "before" };
  const told = (text, how) => parts(text, how).map(({ kind, text: part }) => [kind, part]);
  assert.deepEqual(told("a", null), [["said", "a"]]);
  assert.deepEqual(told("<think>a</think>b", format), [["thought", "a"], ["said", "b"]]);
  assert.deepEqual(told("a</think>b", format), [["thought", "a"], ["said", "b"]]);
  assert.deepEqual(told("<think>a", format), [["thought", "a"]]);
  assert.deepEqual(told("a", { ...format, position: "inside" }), [["thought", "a"]]);
  assert.deepEqual(told("a", format), [["said", "a"]]);
  const harmony = { ...format, channels: true };
  const text = "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>b";
  assert.deepEqual(told(text, harmony), [["thought", "a"], ["said", "b"]]);
  assert.deepEqual(
    ["<think>a</think>b", "<think>a", "a"].map((text) => replyStart(text, format)),
    [16, 8, 0],
  );
});

test("formulas are taken out of a text, and prices and code are none", () => {
  const tex = (text) => takeFormulas(text).formulas.map((formula) => formula.tex);
  assert.deepEqual(tex("so $x^2$ and \\(y\\), $$z$$ \\[w\\]"), ["x^2", "y", "z", "w"]);
  assert.deepEqual(tex("it costs $5 and $6, or 5 $ and 6 $"), []);
  assert.deepEqual(tex("`$x$` and ```\n$y$\n``` and ~~~\n$z$\n~~~"), []);
  assert.deepEqual(tex("so \\boxed{\\frac{1}{2}}."), ["\\boxed{\\frac{1}{2}}"]);
  assert.deepEqual(tex("\\boxed{never closed, $, \\(, $$"), []);
  const { text } = takeFormulas("a $x$ b \uE0005\uE001");
  assert.equal(text, "a \uE0000\uE001 b \uFFFD5\uFFFD");
  const large = "$a$ ".repeat(100_000);
  assert.equal(takeFormulas(large).formulas.length, 400);
  for (const mark of ["$", "\\boxed{", "`", "\\(", "```", "$$"]) takeFormulas(mark.repeat(20_000));
});

test("a race can be taken away as a page that runs nothing", () => {
  const race = raceOf(started(0, 0), delta(0, 1, "<script>alert(1)</script>"));
  const hostile = "</pre><img src=x onerror=alert(1)>";
  apply(race, ended(0, 1, "cancelled", null, 1, "clinched"));
  apply(race, {
    type: "response.completed", at: 2,
    response: {
      status: "completed", output: [],
      frontrunner: {
        answer: hostile, stop_reason: "clinched", votes: { [hostile]: 1 }, forced_votes: {},
        branches: { finished: 1 },
      },
    },
  });
  const html = asHtml(race, hostile, "<b>m</b>");
  assert.ok(!/<(script|img|b)\b/.test(html));
  assert.ok(html.includes("cut: the lead could not be overtaken"));
  assert.ok(html.includes("&lt;script&gt;alert(1)"));
});

test("a follow-up is sent with the turns before it", () => {
  assert.equal(inputOf([], "a?"), "a?");
  const turns = turnsAfter("a?", "b");
  assert.deepEqual(turns.map(({ role }) => role), ["user", "assistant"]);
  const input = inputOf(turns, "c?");
  assert.deepEqual([input.length, questionOf(input), questionOf("d?")], [3, "c?", "d?"]);
  assert.equal(turnsAfter(input, "d").length, 4);
  const code = asPython(BASE, { model: "m", input, instructions: "s", temperature: 0.5, frontrunner: {} }, false);
  assert.ok(code.includes('instructions="s",\n    temperature=0.5,\n'));
  assert.ok(code.includes('{"role": "assistant", "content": "b"}'));
});

test("a trace can be written of any events", () => {
  const line = asTrace([{ ...started(0, 0) }, delta(0, 1, "a")], "q?");
  const { branches, question, gold, result } = JSON.parse(line);
  assert.deepEqual([branches[0].tokens, question, gold, result], [1, "q?", null, null]);
  assert.ok(line.endsWith("\n"));
});

const TAGGED = { start: "<think>", end: "</think>", channels: false, position: "text" };
const calledAt = (branch, call, at, more = {}) => ({
  type: "frontrunner.tool.called", branch, call, at, name: "add", arguments: '{"a":1,"b":2}', ...more,
});
const returned = (branch, call, at, result, outcome = "returned") => ({
  type: "frontrunner.tool.returned", branch, call, at, name: "add", outcome, result, seconds: 1,
});
const ofSeveral = (...events) => {
  const begun = {
    type: "frontrunner.race.started", at: 0, race_id: "r", deadline: 8, branches: 2, thinking: TAGGED,
  };
  const summary = {
    race_id: "r", answer: "7", confidence: 0.9, stop_reason: "clinched", notes: [], votes: { 7: 1 },
    forced_votes: {}, branches: { launched: 2, finished: 1, cancelled: 1 }, tokens_generated: 9,
    tokens_saved: 0, elapsed: 4, overshoot: 0,
  };
  const response = { status: "completed", error: null, output: [], frontrunner: summary };
  return [begun, ...events, { type: "response.completed", at: 4, response }];
};
const ACTING = ofSeveral(
  started(0, 0),
  started(1, 0),
  delta(0, 1, "<think>x "),
  calledAt(0, 1, 1),
  calledAt(1, 2, 1.5, { shared: true }),
  returned(0, 1, 2, "3"),
  delta(0, 3, "y</think> so \\boxed{7}"),
  ended(0, 3, "finished", "7", 2),
);
const playedTo = (events, at) => {
  const race = newRace();
  for (const event of events) if (event.at <= at) apply(race, event);
  return race;
};

test("thoughts and calls stand below the bar, on its scale", () => {
  const early = playedTo(ACTING, 1.5);
  const [first, second] = [0, 1].map((index) => early.branches.get(index));
  assert.equal(openCall(first).name, "add");
  assert.equal(thinks(first, early), true);
  assert.deepEqual(actsOf(second, early, false), [{ kind: "waits", from: 1.5, to: null }]);
  const race = playedTo(ACTING, 9);
  const [one, other] = [0, 1].map((index) => race.branches.get(index));
  assert.equal(openCall(one), null);
  assert.equal(thinks(one, race), false);
  const [thought, call] = actsOf(one, race, false);
  assert.deepEqual(call, { kind: "call", from: 1, to: 2 });
  assert.ok(thought.kind === "thought" && thought.from > 0 && thought.to < 3);
  assert.deepEqual(actsOf(one, race, true)[1], { kind: "call", from: 1, to: 1 });
  // Nobody heard of its end: it is over with its branch.
  assert.deepEqual(actsOf(other, race, false), [{ kind: "call", from: 1.5, to: 4 }]);
});

test("a saved page and a saved trace are opened again", () => {
  const asked = { input: "</script><!-- 3 + 4?", model: "m" };
  const page = asHtml(playedTo(ACTING, 9), asked.input, "m", { asked, events: ACTING });
  assert.equal(page.match(/<script/g).length, 1);
  assert.deepEqual(racesIn(page), [{ asked, events: ACTING }]);
  const [{ events, asked: about }] = racesIn(asTrace(ACTING, asked.input));
  assert.equal(about.input, asked.input);
  const race = playedTo(events, 9);
  const told = ({ status, answer, tokens, calls }) => [status, answer, tokens, calls.length];
  assert.deepEqual([...race.branches.values()].map(told), [["finished", "7", 2, 1], ["cancelled", null, 0, 0]]);
  assert.equal(wholeText(race.branches.get(0)), wholeText(playedTo(ACTING, 9).branches.get(0)));
  assert.deepEqual([race.leader, race.outcome.at, race.outcome.summary.stop_reason], ["7", 4, "clinched"]);
  // Between its times a branch is somewhere between.
  const middle = wholeText(playedTo(events, 2).branches.get(0)).length;
  assert.ok(middle > 0 && middle < wholeText(race.branches.get(0)).length);
});

test("the events of solve --json are opened, several races too", () => {
  const lines = (id) => [
    { event: "race_started", at: 0, race_id: id, deadline: 5, branches: 1 },
    { event: "branch_started", at: 0, branch: 0, parent: null, inherited_tokens: 0 },
    { event: "something_new", at: 0.5 },
    { event: "branch_progressed", at: 1, branch: 0, text: "7", tokens: 1, forced: false },
    { event: "branch_ended", at: 1, branch: 0, status: "finished", answer: "7", tokens: 1, reason: null },
    { event: "race_decided", at: 1, result: {
      race_id: id, answer: "7", text: "7", confidence: 1, stop_reason: "exhausted", elapsed: 1,
      deadline: 5, votes: { 7: 1 }, forced_votes: {}, branches: [{ status: "finished" }],
      tokens_generated: 1, tokens_saved: 0, notes: [],
    } },
  ];
  const races = racesIn([...lines("a"), ...lines("b")].map((line) => JSON.stringify(line)).join("\n"));
  assert.deepEqual(races.map(({ events }) => playedTo(events, 9).raceId), ["a", "b"]);
  const { outcome } = playedTo(races[0].events, 9);
  assert.deepEqual([outcome.text, outcome.summary.branches.finished], ["7", 1]);
});

test("what is no race is refused with a sentence", () => {
  for (const text of [
    "", "x", "{}", "[1]", "<html></html>", '{"frontrunner_trace": 1', "null", '{"event": "race_started"}',
    '<script id="frontrunner-race">{}</script>', '<script id="frontrunner-race">{"events": [1]}</script>',
    JSON.stringify({ event: "race_started", at: 0, deadline: 3, branches: 1 }),
  ]) {
    assert.throws(() => racesIn(text), /^Error: [A-Z].*\.$/, text);
  }
});

test("short answers in TeX are read in a line", () => {
  const read = ["7", "\\frac{1}{2}", "\\dfrac{x+1}{2}", "3\\sqrt{2}", "2\\pi", "\\sqrt{10}", "\\begin{x}"];
  assert.deepEqual(read.map(words.readable), ["7", "1/2", "(x+1)/2", "3√2", "2π", "√(10)", "\\begin{x}"]);
  assert.equal(words.called("add", '{"a":1,"b":"x"}'), "add(a: 1, b: x)");
  assert.equal(words.called("add", "no JSON"), "add(no JSON)");
});

test("calls of tools are told as calls, and what is none stays as it was written", () => {
  const call = '<tool_call>{"name": "add", "arguments": {"a": 1, "b": "x"}}</tool_call>';
  const told = (text) => pieces(text).map(({ kind, text: part }) => [kind, part]);
  assert.deepEqual(told(""), []);
  assert.deepEqual(told("a"), [["text", "a"]]);
  assert.deepEqual(told(`so ${call}${call}\n[add] 3\n[add] 4\n\x1d[sub] and`), [
    ["text", "so "], ["call", "add(a: 1, b: x)"], ["call", "add(a: 1, b: x)"],
    ["result", "[add] 3"], ["result", "[add] 4"], ["text", "[sub] and"],
  ]);
  const coder = "<tool_call>\n<function=add>\n<parameter=a>\n1\n</parameter>\n</function>\n</tool_call>";
  assert.deepEqual(told(coder), [["call", "add(a: 1)"]]);
  const keys = "<tool_call>add\n<arg_key>a</arg_key>\n<arg_value>1</arg_value>\n</tool_call>";
  assert.deepEqual(told(keys), [["call", "add(a: 1)"]]);
  assert.deepEqual(told("<tool_call>odd</tool_call>"), [["call", "odd"]]);
  assert.deepEqual(told("<tool_call>{"), [["text", "<tool_call>{"]]);
  assert.deepEqual(told("a <tools> b"), [["text", "a <tools> b"]]);
  assert.equal(withCalls(`so ${call} and <tool_call>{"na`), "so  → add(a: 1, b: x)  and  → …");
  assert.equal(withCalls(`"b": 2}}</tool_call> so ${call}`), "… so  → add(a: 1, b: x) ");
  assert.equal(withCalls(`${call}\n[add] 3\nso`), " → add(a: 1, b: x)  ← [add] 3 so");
  assert.equal(withCalls("a < b"), "a < b");
  for (const mark of ["<tool_call>", "</tool_call>", "\x1d"]) {
    pieces(mark.repeat(20_000));
    withCalls(mark.repeat(500));
  }
});

test("simple formulas are read in a line", () => {
  const read = (text) => words.readable(text);
  assert.equal(read("\\frac{1}{2}"), "1/2");
  assert.equal(read("\\dfrac{\\sqrt{3}}{x+1}"), "√3/(x+1)");
  assert.equal(read("\\frac{\\frac{1}{2}}{3}"), "(1/2)/3");
  assert.equal(read("x^2 \\le 2^{10}\\pi"), "x² ≤ 2^10π");
  assert.equal(read("\\begin{pmatrix} 1 & 2 \\\\ 3 & \\frac{1}{2}\\end{pmatrix}"), "(1, 2; 3, 1/2)");
  assert.equal(read("\\begin{cases}1\\end{cases}"), "\\begin{cases}1\\end{cases}");
  assert.equal(words.readableText("so $\\frac{1}{2}$ is \\(x^2\\), \\boxed{\\frac{1}{2}}"), "so 1/2 is x², 1/2");
  assert.equal(words.readableText("it costs $5 and $6, \\frac{1"), "it costs $5 and $6, \\frac{1");
  assert.equal(words.readableText("\\leftarrow"), "\\leftarrow");
});
