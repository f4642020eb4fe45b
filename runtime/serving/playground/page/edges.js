// What scrolls fades where more of it is hidden, so that a line in halves is none.

/** Mark at which ends something of `element` is out of sight; `reversed`: it scrolls from its end. */
export function markEdges(element, reversed = false) {
  const { scrollTop, scrollHeight, clientHeight } = element;
  const hidden = scrollHeight - clientHeight;
  const above = reversed ? hidden + scrollTop : scrollTop;
  element.toggleAttribute("data-above", above > 2);
  element.toggleAttribute("data-below", hidden - above > 2);
}

/** Do so whenever it is scrolled, or has another size. */
export function keepEdges(element, reversed = false) {
  const mark = () => markEdges(element, reversed);
  element.addEventListener("scroll", mark, { passive: true });
  new ResizeObserver(mark).observe(element);
}
