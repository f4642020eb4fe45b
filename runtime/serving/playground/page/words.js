// @ts-check
// What is said about races in words.

/** @type {Record<string, string>} */
const STOP_REASONS = {
  clinched: "Clinched: the lead cannot be overtaken any more.",
  confident_majority: "A clear front-runner: the missing votes would hardly change it.",
  reward_threshold: "Good enough: a branch reached the reward threshold.",
  first_to_m: "Enough branches finished.",
  exhausted: "Every branch has ended.",
  deadline: "Time was up: the best answer known by then.",
  cancelled: "Cancelled.",
  failed: "Every branch was lost.",
};
/** @type {Record<string, string>} */
const STOP_WORDS = {
  clinched: "lead out of reach",
  confident_majority: "clear front-runner",
  reward_threshold: "good enough",
  first_to_m: "enough finished",
  exhausted: "all branches ended",
  deadline: "time was up",
  cancelled: "cancelled",
  failed: "every branch lost",
};
/** @type {Record<string, string>} */
const CUTS = {
  clinched: "the lead could not be overtaken",
  confident_majority: "there was a clear front-runner",
  reward_threshold: "another answer was good enough",
  first_to_m: "enough had finished",
  exhausted: "all others had ended",
  deadline: "time was up",
  cancelled: "the race was cancelled",
  failed: "all others were lost",
  lost: "the connection was lost",
  unseen: "its end was not seen",
};
/**
 * The same in a word or two.
 * @type {Record<string, string>}
 */
const SHORT = {
  clinched: "clinched",
  confident_majority: "clear lead",
  reward_threshold: "good enough",
  first_to_m: "enough in",
  exhausted: "others ended",
  deadline: "time up",
  cancelled: "by you",
  failed: "others lost",
  lost: "lost touch",
  unseen: "not seen",
};
/** @type {Record<string, string>} */
const STATUSES = {
  running: "running",
  forcing: "forcing",
  finished: "finished",
  truncated: "at its limit",
  forced: "forced",
  cancelled: "cut",
  failed: "lost",
};
/** @type {Record<string, string>} */
const SIGNS = {
  pi: "π", cdot: "·", times: "×", infty: "∞", pm: "±", le: "≤", ge: "≥", circ: "°", leq: "≤", geq: "≥",
  ne: "≠", neq: "≠", approx: "≈", div: "÷", to: "→",
};
const SUPERSCRIPTS = [..."⁰¹²³⁴⁵⁶⁷⁸⁹"];
/** @type {Record<string, string>} */
const OUTCOMES = {
  returned: "gave its result",
  refused: "refused",
  failed: "failed",
  cancelled: "given up",
};
/** @type {Record<string, string>} */
const ADVICE = {
  invalid_api_key: "Enter an API key of this server above, and start again.",
  unsendable_key: "Use another key: its characters must be allowed in a header token.",
  forbidden: "Open this page under the address that the server's operator allows.",
  too_many_races: "Wait until another race of this key has ended, and start again.",
  context_length_exceeded: "Shorten the question.",
  events_expired: "The race was not lost, only its telling. Start it again to watch it.",
  not_found: "The server does not know this race any more. Start it again.",
  engine_error: "The engine could not do its part. Try again; if it stays so, see the server's log.",
  unavailable: "The server is busy or about to end. Try again in a moment, or with fewer branches.",
  invalid_request: "Change what it names, and start again.",
};

/** @param {string} reason */
export function stopReason(reason) {
  return STOP_REASONS[reason] ?? reason;
}

/**
 * The same in a few words.
 * @param {string} reason
 */
export function stopWord(reason) {
  return STOP_WORDS[reason] ?? reason;
}

/** @param {string} status */
export function statusWord(status) {
  return STATUSES[status] ?? status;
}

/**
 * Why a branch was cut or lost.
 * @param {string} reason
 */
export function whyEnded(reason) {
  return CUTS[reason] ?? reason;
}

/**
 * The same, where there is little room.
 * @param {string} reason
 */
export function shortReason(reason) {
  return SHORT[reason] ?? reason;
}

/**
 * A call of a tool as it is written: `add(a: 1, b: 2)`.
 * @param {string} name
 * @param {string} given its arguments, as JSON
 */
export function called(name, given) {
  try {
    const told = Object.entries(JSON.parse(given)).map(
      ([key, value]) => `${key}: ${typeof value === "string" ? value : JSON.stringify(value)}`,
    );
    return `${name}(${told.join(", ")})`;
  } catch {
    return `${name}(${given})`;
  }
}

/**
 * What became of a call of a tool.
 * @param {string} outcome
 */
export function outcomeWord(outcome) {
  return OUTCOMES[outcome] ?? outcome;
}

/** @param {string} code */
export function advice(code) {
  return ADVICE[code] ?? ADVICE.invalid_request;
}

/**
 * As a sentence begins.
 * @param {string} text
 */
export function sentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/**
 * A short answer in TeX as it is read in a line: `1/2` for `\\frac{1}{2}`. What is not that simple
 * stays as it is.
 * @param {string} answer
 */
export function readable(answer) {
  if (!answer.includes("\\") || answer.length > 80) return answer;
  const read = inLine(answer);
  return read.includes("\\") ? answer : read;
}

/**
 * A text with what is simple of its TeX as it is read in a line, boxes and the marks of such formulas
 * taken away.
 * @param {string} text short: the end of one, say
 */
export function readableText(text) {
  if (!/[\\$]/.test(text)) return text;
  const bare = text
    .replace(/\$([^$]{1,120})\$/g, (all, tex) => (/[\\^_=]/.test(tex) ? tex : all))
    .replace(/\\[()[\]]/g, "");
  return inLine(bare);
}

/** @param {string} tex */
function inLine(tex) {
  let read = tex
    .replace(/\\(?:left|right|displaystyle|[,;!:])(?![a-zA-Z])\s?/g, "")
    .replace(
      /( ?)\\(pi|cdot|times|infty|pm|leq?|geq?|neq?|approx|div|circ|to)(?![a-zA-Z])( ?)/g,
      (_, before, name, after) => before + SIGNS[name] + (before && after),
    )
    .replace(/\\([%$&#_])/g, "$1");
  read = read.replace(/\\begin\{[pbvBV]?matrix\}([^]*?)\\end\{[pbvBV]?matrix\}/g, (_, rows) =>
    `(${rows.trim().replace(/\s*\\\\\s*/g, "; ").replace(/\s*&\s*/g, ", ")})`,
  );
  // From the inside out.
  for (let before = ""; before !== read && read.includes("{"); ) {
    before = read;
    read = read
      .replace(/\\(?:boxed|text|mathrm|mathbf|operatorname)\{([^{}]*)\}/g, "$1")
      .replace(/\\sqrt\{([^{}]*)\}/g, (_, of) => (of.length > 1 ? `√(${of})` : `√${of}`))
      .replace(/\\[dt]?frac\{([^{}]*)\}\{([^{}]*)\}/g, (_, over, under) => `${side(over)}/${side(under)}`)
      .replace(/\^\{([^{}]*)\}/g, (_, power) => `^${side(power)}`);
  }
  return read.replace(/\^(\d)(?!\d)/g, (_, digit) => SUPERSCRIPTS[digit]);
}

/** @param {string} text one side of a fraction */
function side(text) {
  return /^[\w.√]*$/.test(text) ? text : `(${text})`;
}

/** @param {number} value */
export function seconds(value) {
  return `${value.toFixed(value < 10 ? 2 : 1)} s`;
}

/**
 * A limit as it was given: no zeros that nobody said.
 * @param {number} value
 */
export function limit(value) {
  return `${Number(value.toFixed(2))} s`;
}

/**
 * "9.65 s before the deadline".
 * @param {number | null} deadline
 * @param {number} at
 */
export function beforeDeadline(deadline, at) {
  const left = (deadline ?? at) - at;
  if (Math.abs(left) < 0.005) return "at the deadline";
  return `${seconds(Math.abs(left))} ${left < 0 ? "after" : "before"} the deadline`;
}

/** @param {number} value */
export function count(value) {
  return value.toLocaleString("en");
}

/**
 * "once", "3 times".
 * @param {number} number
 */
export function times(number) {
  return number === 1 ? "once" : `${number} times`;
}

/**
 * "7 finished, 2 forced, 7 cut".
 * @param {Record<string, number>} branches
 */
export function branchCounts(branches) {
  const told = Object.entries(branches)
    .filter(([name, number]) => name !== "launched" && number > 0)
    .map(([name, number]) => `${number} ${statusWord(name)}`);
  return told.join(", ") || "none";
}
