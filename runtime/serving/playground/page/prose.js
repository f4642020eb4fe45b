// What a model wrote, as Markdown with formulas. It is hostile: elements are made one by one from
// what the parser found, of the kinds below only, and text goes in as text. No HTML is ever read,
// no picture loaded, and a link leads to http and https alone.

import MarkdownIt from "./vendor/markdown-it.min.js";
import { make } from "./elements.js";
import { CLOSE, OPEN, takeFormulas } from "./math_marks.js";

/** Characters from which on a text is shown as it was written. */
const LONGEST = 60_000;
/** Elements of a formula in each other: deeper ones could exhaust the stack of a browser's layout. */
const DEEPEST = 60;
const FORMULA = new RegExp(`${OPEN}(\\d+)${CLOSE}`, "g");
const BLOCKS = new Set([
  "p", "ul", "ol", "li", "blockquote", "table", "thead", "tbody", "tr", "th", "td", "strong", "em", "s",
]);

const markdown = new MarkdownIt("default", { html: false, linkify: false, maxNesting: 40 });

/** Put `text` into `element`, in place of what is there. */
export function renderInto(element, text) {
  const fragment = document.createDocumentFragment();
  if (text.length > LONGEST) {
    fragment.append(make("pre", "", text));
  } else {
    const { text: marked, formulas } = takeFormulas(text);
    const writer = new Writer(fragment, formulas);
    for (const token of markdown.parse(marked, {})) writer.take(token);
  }
  element.replaceChildren(fragment);
}

/** Put a formula into `element`; one that TeX would not read, as it was written. */
export function renderFormula(element, tex) {
  element.replaceChildren(formula({ source: tex, tex, display: false }));
}

class Writer {
  #stack;
  #formulas;

  constructor(root, formulas) {
    this.#stack = [root];
    this.#formulas = formulas;
  }

  take(token) {
    if (token.type === "inline") for (const child of token.children) this.take(child);
    else if (token.nesting === 1) this.#open(token);
    else if (token.nesting === -1) this.#close();
    else this.#write(token);
  }

  get #top() {
    return this.#stack[this.#stack.length - 1];
  }

  #open({ type, tag, hidden, attrs }) {
    let element;
    if (hidden) element = make("div");
    else if (type === "heading_open") element = make("p", "heading");
    else if (type === "link_open") element = link(attrs);
    else element = make(BLOCKS.has(tag) ? tag : "div");
    if (/^(p|li|div|th|td|blockquote)$/i.test(element.tagName)) element.dir = "auto";
    if (tag === "ol" && type === "ordered_list_open") {
      const start = Number(attrs?.find(([name]) => name === "start")?.[1] ?? 1);
      if (Number.isSafeInteger(start)) element.start = start;
    }
    this.#top.append(element);
    this.#stack.push(element);
  }

  #close() {
    if (this.#stack.length > 1) this.#stack.pop();
  }

  #write({ type, content }) {
    if (type === "softbreak" || type === "hardbreak") this.#top.append(make("br"));
    else if (type === "hr") this.#top.append(make("hr"));
    else if (type === "code_inline") this.#top.append(make("code", "", this.#asWritten(content)));
    else if (type === "fence" || type === "code_block") {
      const code = make("pre", "code", make("code", "", this.#asWritten(content)));
      code.tabIndex = 0;
      code.setAttribute("role", "group");
      code.setAttribute("aria-label", "Code");
      this.#top.append(code);
    } else if (type === "image") this.#text(`[picture: ${content}]`);
    else this.#text(content);
  }

  #text(content) {
    let at = 0;
    for (const found of content.matchAll(FORMULA)) {
      this.#top.append(content.slice(at, found.index), formula(this.#formulas[Number(found[1])]));
      at = found.index + found[0].length;
    }
    this.#top.append(content.slice(at));
  }

  #asWritten(content) {
    return content.replace(FORMULA, (_, number) => this.#formulas[Number(number)]?.source ?? "");
  }
}

function link(attrs) {
  const href = attrs?.find(([name]) => name === "href")?.[1] ?? "";
  if (!/^https?:\/\//i.test(href)) return make("span");
  const element = make("a");
  element.href = href;
  element.rel = "noopener noreferrer nofollow";
  element.target = "_blank";
  element.title = href; // a link may say that it leads elsewhere
  return element;
}

function formula(found) {
  if (!found) return "";
  const { source, tex, display } = found;
  const element = make("span", display ? "formula display" : "formula");
  try {
    globalThis.temml.render(tex, element, {
      displayMode: display,
      throwOnError: true,
      trust: false,
      maxExpand: 200,
      maxSize: [8, 20],
    });
    if (deeper(element, DEEPEST)) throw new RangeError("too deep");
  } catch {
    element.replaceChildren(source); // no formula, or one that TeX would not read
    element.className = "";
  }
  return element;
}

/** Whether elements lie deeper in `root` than that. */
function deeper(root, most) {
  let level = [root];
  for (let depth = 0; level.length > 0; depth += 1) {
    if (depth > most) return true;
    level = level.flatMap((element) => [...element.children]);
  }
  return false;
}
