// @ts-check
// Text that arrives in pieces, and can be cut back; as in runtime/events/growing_text.py.
//
// The server counts characters in code points. Lengths here are JavaScript's, in UTF-16 units.

/** Characters of the end that can be read without reading all of a text. */
const TAIL = 1000;

export class GrowingText {
  text = "";
  #tail = ""; // its end: `text` is put together anew each time that its characters are read
  /**
   * After each piece: tokens and length so far. A piece is any number of tokens.
   * @type {[number, number][]}
   */
  #marks;

  constructor(tokens = 0) {
    this.#marks = [[tokens, 0]];
  }

  get tokens() {
    return this.#marks[this.#marks.length - 1][0];
  }

  get length() {
    return this.text.length;
  }

  /**
   * @param {string} text
   * @param {number} tokens
   */
  append(text, tokens) {
    this.text += text;
    this.#tail = (this.#tail + text).slice(-TAIL);
    this.#marks.push([this.tokens + tokens, this.text.length]);
  }

  /**
   * The last units of the text, `most` of them.
   * @param {number} most at most 1,000
   */
  tail(most) {
    return this.#tail.slice(-most);
  }

  /**
   * The length of the first `characters` code points.
   * @param {number} characters
   */
  lengthOf(characters) {
    let length = 0;
    for (let left = characters; left > 0 && length < this.text.length; left -= 1) {
      length += Number(this.text.codePointAt(length)) > 0xffff ? 2 : 1;
    }
    return length;
  }

  /**
   * The length of what the first `tokens` tokens wrote, as far as pieces tell.
   * @param {number} tokens
   */
  lengthAfter(tokens) {
    return this.#marks.findLast(([reached]) => reached <= tokens)?.[1] ?? 0;
  }

  /**
   * Keep the first `length` units, which `tokens` tokens wrote.
   * @param {number} length
   * @param {number} tokens
   */
  cut(length, tokens) {
    this.text = this.text.slice(0, length);
    this.#tail = this.text.slice(-TAIL);
    this.#marks = this.#marks.filter(([reached, end]) => end <= length && reached < tokens);
    this.#marks.push([tokens, this.text.length]);
  }

  /**
   * A new text that begins with the first `length` units of this one.
   * @param {number} length
   * @param {number} tokens
   */
  copy(length, tokens) {
    const other = new GrowingText();
    other.text = this.text;
    other.#marks = this.#marks;
    other.cut(length, tokens);
    return other;
  }
}
