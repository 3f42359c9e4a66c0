/** People: everybody who is enrolled, what was changed, somebody new. */

import { get, post } from "./api.js";
import { chip } from "./chip.js";
import { nameField } from "./dialogs.js";
import { button, el, notice, trouble } from "./dom.js";
import { enrol } from "./enrolling.js";
import { intake } from "./intake.js";
import { count, sentence } from "./words.js";

const AT_ONCE = 120; // people shown
const PATIENCE = 150; // ms after a key, before a search

export async function show(place, signal) {
  const add = adding(() => fill());
  const fill = async () => {
    const everybody = await get("/v1/people", { limit: AT_ONCE }, signal);
    const changed = await changes(signal, fill);
    if (signal.aborted) return;
    add.open ||= !everybody.total;
    place.replaceChildren(
      el("h1", { tabindex: "-1" }, "People"),
      everybody.total ? grid(everybody, signal) : el("p", { class: "note" },
        "Nobody is enrolled yet. Give a name and a few photos; the more they differ in light and pose, the better."),
      add,
      changed,
    );
  };
  await fill();
  return "People";
}

function grid(everybody, signal) {
  const list = el("ul", { class: "grid" });
  const told = el("p", { class: "quiet", role: "status" });
  const failed = el("div", {});
  const more = button("Show more", () => fetchMore(list.children.length));
  const field = el("input", { type: "search", autocomplete: "off", spellcheck: "false" });
  let asked = new AbortController();
  let pending = null;

  function add({ people, total }, from) {
    if (!from) list.replaceChildren();
    list.append(...people.map(card));
    more.hidden = list.children.length >= total;
    told.textContent = field.value.trim() ? `${total.toLocaleString("en")} of ${count(everybody.total, "person", "people")}`
      : count(total, "person", "people");
  }
  async function fetchMore(from) {
    asked.abort();
    asked = new AbortController();
    try {
      const query = { search: field.value.trim(), offset: from, limit: AT_ONCE };
      add(await get("/v1/people", query, AbortSignal.any([signal, asked.signal])), from);
      failed.replaceChildren();
    } catch (error) {
      if (error.name !== "AbortError") failed.replaceChildren(trouble(error));
    }
  }
  field.addEventListener("input", () => {
    clearTimeout(pending);
    pending = setTimeout(() => fetchMore(0), PATIENCE);
  });
  add(everybody, 0);
  return el("section", { "aria-label": "Everybody" },
    el("div", { class: "row low" }, el("label", { class: "field search" }, "Search", field), told),
    failed, list, more);
}

function card(person) {
  return el("li", {}, el("a", { class: "card", href: `#/people/${encodeURIComponent(person.name)}` },
    chip(person.face), el("strong", {}, person.name), el("span", { class: "quiet" }, count(person.faces, "face"))));
}

function adding(done) {
  const [field, list] = nameField();
  const told = el("div", { "aria-live": "polite" });
  const take = (photos) => field.reportValidity() && enrol(field.value.trim(), photos, { told, done });
  return el("details", { class: "card add" },
    el("summary", {}, "Add a person"),
    el("label", { class: "field" }, "Name", field, list),
    intake({ label: "Choose their photos", hint: "or drop them here. Of a photo of several people, the face that is like the rest counts.", multiple: true, take }),
    told);
}

async function changes(signal, refresh) {
  let made;
  try {
    made = (await get("/v1/changes", null, signal)).changes;
  } catch (error) {
    if (error.status === 403) return ""; // this token may not change anything
    throw error;
  }
  if (!made.length) return "";
  return el("details", { class: "card changes" },
    el("summary", {}, "What was changed"),
    el("ul", {}, ...made.slice(0, 50).map((change) => el("li", {},
      el("span", {}, sentence(change.what)),
      el("time", { class: "quiet", datetime: change.at }, when(change.at)),
      button("Undo", () => undo(change, refresh), { "aria-label": `Undo: ${change.what}` })))));
}

/** Take a change back, and say so. */
export async function undo(change, done) {
  try {
    const undone = await post("/v1/undo", { event: change.event });
    await done();
    notice(`Undone: ${undone.what}.`);
  } catch (error) {
    if (error.name !== "AbortError") notice(`${error.title}. ${sentence(error.detail)}`);
  }
}

function when(iso) {
  return new Date(iso).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
}
