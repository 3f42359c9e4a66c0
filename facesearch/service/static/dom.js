/** Makes elements. Whatever comes from a photo or a gallery becomes text here, never markup. */

const SVG = "http://www.w3.org/2000/svg";

/**
 * An element. props: attributes; `class`; `on`, listeners by event; true and false set and leave
 * out an attribute. children: elements, texts, and null for nothing.
 */
export function el(tag, props = {}, ...children) {
  return fill(document.createElement(tag), props, children);
}

/** An SVG element, as `el` makes others. */
export function svg(tag, props = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), props, children);
}

function fill(element, props, children) {
  for (const [key, value] of Object.entries(props)) {
    if (key === "on") {
      for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    } else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(key, value === true ? "" : value);
    }
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

export function button(label, action, props = {}) {
  return el("button", { type: "button", ...props, on: { click: action } }, label);
}

/** Tell a screen reader. */
export function say(text) {
  const said = document.getElementById("said");
  said.textContent = "";
  requestAnimationFrame(() => { said.textContent = text; });
}

/** Show what was done, with a button to take it back. One notice at a time. */
export function notice(text, undo = null) {
  const box = document.getElementById("notices");
  const close = () => box.replaceChildren();
  const parts = [el("p", {}, text)];
  if (undo) parts.push(button("Undo", () => { close(); undo(); }, { class: "plain" }));
  parts.push(button("✕", close, { class: "plain close", "aria-label": "Close this notice" }));
  box.replaceChildren(el("div", { class: "notice" }, ...parts));
}

/** An error in words, where it happened. */
export function trouble(error) {
  return el(
    "div",
    { class: "trouble", role: "alert" },
    el("p", {}, el("strong", {}, error.title ?? "Something went wrong")),
    error.detail ? el("p", {}, error.detail) : null,
  );
}

export function waiting(text) {
  return el("p", { class: "waiting", role: "status" }, text);
}
