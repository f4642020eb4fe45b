// A race as the page knows it: what its events say so far. Nothing here draws.

/** Statuses of a branch that may still change. */
const ACTIVE = new Set(["running", "asked"]);

export function newRace() {
  return {
    at: 0, // seconds since the start, of the last event
    deadline: null, // seconds
    wanted: 0, // branches asked for
    branches: new Map(), // by index
    votes: {}, // of finished branches, by answer
    forcedVotes: {},
    leader: null,
    callTime: null, // seconds
    outcome: null, // {status, answer, summary, error}
    changed: new Set(), // branches to draw again
  };
}

export function isActive(branch) {
  return ACTIVE.has(branch.status);
}

/** All that a branch said, the part that it took from its parent first. */
export function wholeText(branch) {
  return branch.inherited + branch.text + branch.forcedText;
}

/** Nothing more will be heard of the race, `at` seconds after its start. */
export function lose(race, at) {
  conclude(race, { at, response: { status: "lost", error: null, output: [] } });
}

/** Take in an event of the websocket. */
export function apply(race, event) {
  const handler = HANDLERS[event.type];
  if (!handler) return;
  if (typeof event.at === "number") race.at = Math.max(race.at, event.at);
  handler(race, event);
}

const HANDLERS = {
  "frontrunner.race.started": (race, event) => {
    race.deadline = event.deadline;
    race.wanted = event.branches;
  },
  "frontrunner.branch.started": (race, event) => {
    const parent = race.branches.get(event.parent);
    race.branches.set(event.branch, {
      index: event.branch,
      parent: event.parent,
      inherited: parent ? textUpTo(parent, event.inherited_tokens) : "",
      inheritedTokens: event.inherited_tokens,
      text: "",
      forcedText: "",
      marks: [], // [tokens, length of the text] after each piece
      tokens: 0,
      status: "running",
      answer: null,
      reason: null,
      probes: [],
      score: null,
      textWhenAsked: null, // length
      tokensWhenAsked: null,
      startedAt: event.at,
      endedAt: null,
    });
    race.changed.add(event.branch);
  },
  "frontrunner.branch.delta": withBranch((branch, event) => {
    branch.tokens += event.tokens;
    if (event.forced) {
      cutToWhenAsked(branch);
      branch.forcedText += event.text;
      return;
    }
    branch.text += event.text;
    branch.marks.push([branch.tokens, branch.text.length]);
  }),
  "frontrunner.branch.forcing": withBranch((branch, event) => {
    branch.status = "asked";
    branch.endedAt = null;
    branch.textWhenAsked = branch.text.length;
    branch.tokensWhenAsked = event.tokens;
  }),
  "frontrunner.branch.probed": withBranch((branch, event) => {
    branch.probes.push({ tokens: event.tokens, answer: event.answer });
  }),
  "frontrunner.branch.scored": withBranch((branch, event) => {
    branch.score = event.score;
  }),
  "frontrunner.branch.extended": withBranch((branch, event) => {
    branch.status = "running";
    branch.answer = null;
    branch.endedAt = null;
    branch.text += event.text;
  }),
  "frontrunner.branch.ended": withBranch((branch, event) => {
    branch.status = event.status;
    branch.answer = event.answer;
    branch.reason = event.reason;
    branch.tokens = event.tokens;
    branch.endedAt = event.at;
  }),
  "frontrunner.vote": (race, event) => {
    race.votes = event.votes;
    race.forcedVotes = event.forced_votes;
    race.leader = event.leader;
    for (const index of race.branches.keys()) race.changed.add(index);
  },
  "frontrunner.call_time": (race, event) => {
    race.callTime = event.at;
  },
  "response.completed": conclude,
  "response.incomplete": conclude,
  "response.failed": conclude,
};

function withBranch(handler) {
  return (race, event) => {
    const branch = race.branches.get(event.branch);
    if (!branch) return;
    handler(branch, event);
    race.changed.add(event.branch);
  };
}

function conclude(race, event) {
  const { response } = event;
  const summary = response.frontrunner ?? null;
  race.outcome = {
    status: response.status,
    answer: summary?.answer ?? null,
    text: messageText(response),
    error: response.error,
    summary,
    at: event.at,
  };
  if (summary) {
    race.votes = summary.votes;
    race.forcedVotes = summary.forced_votes;
    race.leader = summary.answer;
  }
  for (const branch of race.branches.values()) {
    // A race that was cancelled says nothing of its branches' ends.
    if (isActive(branch)) {
      branch.status = response.status === "lost" ? "failed" : "cancelled";
      branch.reason = summary?.stop_reason ?? response.status;
      branch.endedAt = event.at;
    }
    race.changed.add(branch.index);
  }
}

function messageText(response) {
  const parts = [];
  for (const item of response.output ?? []) {
    if (item.type === "message") for (const part of item.content) parts.push(part.text ?? "");
    if (item.type === "function_call") parts.push(`${item.name}(${item.arguments})`);
  }
  return parts.join("");
}

/** A forced answer stands after the text as it was when the branch was asked. */
function cutToWhenAsked(branch) {
  if (branch.textWhenAsked === null || branch.text.length <= branch.textWhenAsked) return;
  branch.text = branch.text.slice(0, branch.textWhenAsked);
}

function textUpTo(branch, tokens) {
  const own = tokens - branch.inheritedTokens;
  let length = 0;
  for (const [reached, end] of branch.marks) {
    if (reached > own) break;
    length = end;
  }
  return branch.inherited + branch.text.slice(0, length);
}
