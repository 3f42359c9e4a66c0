/** Questions that wait for an answer. The browser's own dialogs keep and give back the focus. */

import { namesLike } from "./api.js";
import { button, el } from "./dom.js";

/** Whether the user agrees. body: elements under the title. */
export async function confirm(title, body, action, danger = false) {
  return (await open(title, body, action, () => true, danger)) ?? false;
}

/** A person's name, trimmed; null if there is none. */
export function askName(title, label, action, { value = "", body = [] } = {}) {
  const [field, list] = nameField(value);
  return open(title, [...body, el("label", { class: "field" }, label, field, list)], action,
    () => field.value.trim() || null);
}

/** A secret; null if there is none. */
export function askSecret(title, label, action, body) {
  const field = el("input", { type: "password", required: true, autocomplete: "off" });
  return open(title, [...body, el("label", { class: "field" }, label, field)], action,
    () => field.value.trim() || null);
}

let made = 0;

/** A required field for a name, and the list from which it is completed. */
export function nameField(value = "") {
  const list = el("datalist", { id: `names-${++made}` });
  const field = el("input", {
    type: "text", value, required: true, list: list.id, autocomplete: "off", maxlength: "255",
  });
  let asked = new AbortController();
  field.addEventListener("input", async () => {
    asked.abort();
    asked = new AbortController();
    try {
      const names = await namesLike(field.value.trim(), asked.signal);
      list.replaceChildren(...names.map((name) => el("option", { value: name })));
    } catch {
      list.replaceChildren(); // it can be typed in full
    }
  });
  return [field, list];
}

function open(title, body, action, answer, danger = false) {
  const heading = el("h2", { id: `dialog-${++made}` }, title);
  const cancel = button("Cancel", () => dialog.close());
  const form = el(
    "form",
    { method: "dialog" },
    heading,
    ...body,
    el("div", { class: "row end" }, cancel, el("button", { class: danger ? "danger" : "primary" }, action)),
  );
  const dialog = el("dialog", { "aria-labelledby": heading.id }, form);
  return new Promise((resolve) => {
    let given = null;
    form.addEventListener("submit", () => { given = answer(); });
    dialog.addEventListener("close", () => { dialog.remove(); resolve(given); });
    document.body.append(dialog);
    dialog.showModal();
  });
}
