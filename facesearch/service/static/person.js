/** One person: all faces, and what can be done to them. */

import { get, latestChange, patch, personPath, post, remove } from "./api.js";
import { chip } from "./chip.js";
import { askName, confirm } from "./dialogs.js";
import { button, el, notice, trouble } from "./dom.js";
import { enrol } from "./enrolling.js";
import { intake } from "./intake.js";
import { undo } from "./people.js";
import { count, distance } from "./words.js";

export async function show(place, signal, asked) {
  const more = morePhotos(asked, signal, () => refresh());
  const fill = async () => {
    const person = await get(personPath(asked), null, signal);
    if (!signal.aborted) place.replaceChildren(...shown(person, more, refresh));
  };
  const refresh = async () => {
    await fill();
    place.querySelector("h1").focus();
  };
  await fill();
  return place.querySelector("h1").textContent;
}

function shown(person, more, refresh) {
  const { name, faces } = person;
  const failed = el("div", {});
  /** Do something; then say so, offer to undo it, and show the place where it can be seen. */
  const act = async (deed, words, place) => {
    failed.replaceChildren();
    try {
      await deed();
      const change = await latestChange();
      notice(words, () => undo(change, () => go(hashOf(name), refresh)));
      await go(place, refresh);
    } catch (error) {
      failed.replaceChildren(trouble(error));
    }
  };
  const chosen = new Set();
  const splitting = button("Split chosen …", () => split(name, chosen, act), { disabled: true });
  const choose = (face, on) => {
    if (on) chosen.add(face);
    else chosen.delete(face);
    splitting.disabled = !chosen.size || chosen.size === faces.length;
  };
  return [
    el("div", {},
      el("p", {}, el("a", { href: "#/people" }, "← People")),
      el("h1", { tabindex: "-1" }, name),
      el("p", { class: "quiet" }, `${count(faces.length, "face")} on ${count(person.photos, "photo")}`)),
    failed,
    el("div", { class: "row" },
      button("Rename …", () => rename(name, act)),
      button("Merge …", () => merge(person, act)),
      splitting,
      button("Remove …", () => takeOut(person, act), { class: "danger" })),
    el("ul", { class: "faces-of" }, ...faces.map((face, at) => card(name, face, at + 1, choose, act, faces.length))),
    more,
  ];
}

/** Made once, so that what it tells stays, and a pasted photo is taken once. */
function morePhotos(name, signal, done) {
  const told = el("div", { "aria-live": "polite" });
  return el("section", { "aria-labelledby": "more" }, el("h2", { id: "more" }, `More photos of ${name}`),
    intake({ label: "Choose photos", hint: "or drop or paste them here.", multiple: true, signal,
      take: (photos) => enrol(name, photos, { told, done }) }), told);
}

function card(name, { id, photo, distance: apart, note }, number, choose, act, many) {
  const box = el("input", { type: "checkbox", on: { change: () => choose(id, box.checked) } });
  return el("li", { class: "card" },
    chip(id, `${name}, face ${number}`),
    el("span", { class: "quiet" }, photo),
    el("span", { class: "quiet" }, note || (many > 1 ? `${distance(apart)} from the mean` : "")),
    el("label", { class: "check" }, box, "Choose", el("span", { class: "hidden" }, ` face ${number}`)),
    button("Not them", () => reject(name, id, act, many), { "aria-label": `Not them: face ${number} is not ${name}` }));
}

async function rename(name, act) {
  const to = await askName(`Rename ${name}`, "New name", "Rename", { value: name });
  if (to && to !== name) await act(() => patch(personPath(name), { name: to }), `${name} is now ${to}.`, hashOf(to));
}

async function merge({ name, face }, act) {
  const other = await askName(`Merge somebody into ${name}`, "Who is the same person?", "Merge", {
    body: [el("div", { class: "row" }, chip(face),
      el("p", { class: "grow" }, `Their faces become ${name}'s, and their own name goes. You can undo this.`))],
  });
  if (other) await act(() => post(`${personPath(name)}/merge`, { other }), `${other} is merged into ${name}.`, hashOf(name));
}

async function split(name, chosen, act) {
  const faces = [...chosen];
  const into = await askName("Who is on the chosen faces?", "Name", "Split", {
    body: [el("div", { class: "row" }, ...faces.slice(0, 6).map((face) => chip(face, "", "small"))),
      el("p", {}, `${count(faces.length, "face")} of ${name} will be somebody else's. You can undo this.`)],
  });
  if (into) await act(() => post(`${personPath(name)}/split`, { faces, into }), `${count(faces.length, "face")} of ${name} became ${into}'s.`, hashOf(name));
}

async function reject(name, face, act, many) {
  const sure = await confirm(`This face is not ${name}?`, [el("div", { class: "row" }, chip(face),
    el("p", { class: "grow" }, `It is taken from ${name}, and no search will call it ${name} again. You can undo this.`))], "It is not");
  if (sure) await act(() => post(`${personPath(name)}/reject`, { face }), `The face is no longer ${name}'s.`, many > 1 ? hashOf(name) : "#/people");
}

async function takeOut({ name, face, faces }, act) {
  const sure = await confirm(`Remove ${name}?`, [el("div", { class: "row" }, chip(face),
    el("p", { class: "grow" }, `${name} is taken out of every answer, with ${count(faces.length, "face")}. You can undo this.`))], "Remove", true);
  if (sure) await act(() => remove(personPath(name)), `${name} is removed.`, "#/people");
}

function hashOf(name) {
  return `#/people/${encodeURIComponent(name)}`;
}

/** Show a place; if it is shown already, show it anew. */
async function go(hash, refresh) {
  if (location.hash === hash) await refresh();
  else location.hash = hash;
}
