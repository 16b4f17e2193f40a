/**
 * Elements without markup: text goes in as text and attributes as attributes, so that nothing of a mail becomes markup.
 */

const SVG = "http://www.w3.org/2000/svg";

/** Make an HTML element. Attributes: `on` is an object of listeners, `true` an attribute without value. */
export function h(name, attributes = {}, ...children) {
  return build(document.createElement(name), attributes, children);
}

/** Make an SVG element. */
export function s(name, attributes = {}, ...children) {
  return build(document.createElementNS(SVG, name), attributes, children);
}

/** Return the element of the page with this id. */
export function byId(id) {
  const element = document.getElementById(id);
  if (!element) throw new Error(`index.html has no #${id}`);
  return element;
}

/** Say something to those who listen to the page, without moving the focus. */
export function announce(text) {
  byId("announcer").textContent = text;
}

function build(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "on") {
      for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    } else if (name === "vars") {
      // Through the object model: the page's policy lets no style attribute be.
      for (const [property, number] of Object.entries(value)) element.style.setProperty(`--${property}`, number);
    } else if (value === true) {
      element.setAttribute(name, "");
    } else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(name, value);
    }
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}
