// Making and finding elements. Text always goes in as text.

const SVG = "http://www.w3.org/2000/svg";

/** The element of this id. */
export function byId(id) {
  return document.getElementById(id);
}

/** `<tag class=…>`, with children: elements or texts. */
export function make(tag, className = "", ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children);
  return element;
}

/** A shape that is defined in the page; `set` changes which one it is. */
export function makeShape() {
  const svg = document.createElementNS(SVG, "svg");
  const use = document.createElementNS(SVG, "use");
  svg.setAttribute("class", "shape");
  svg.setAttribute("aria-hidden", "true");
  svg.append(use);
  let shown = "";
  const set = (name) => {
    if (name === shown) return;
    shown = name;
    use.setAttribute("href", `#shape-${name}`);
  };
  return { element: svg, set };
}

/** Write `text` into `element`, if it is not there yet. */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Set or remove a boolean attribute. */
export function toggle(element, name, on) {
  if (element.hasAttribute(name) !== on) element.toggleAttribute(name, on);
}

/** Set a property of its style; null: remove it. Setting one again costs, be it the same. */
export function setProperty(element, name, value) {
  if (element.style.getPropertyValue(name) === (value ?? "")) return;
  if (value === null) element.style.removeProperty(name);
  else element.style.setProperty(name, value);
}
