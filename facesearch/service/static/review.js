/** Review: what is probably wrong in the gallery, one finding after the other, decided by keyboard. */

import { get, latestChange, personPath, post } from "./api.js";
import { chip, portrait } from "./chip.js";
import { button, el, notice, say, trouble, waiting } from "./dom.js";
import { undo } from "./people.js";
import { count, distance, percent, probability, sentence } from "./words.js";

const QUESTIONS = {
  mislabelled: "Whose face is this?",
  divided: "Are these photos of one person?",
  duplicate: "One picture twice",
  "same-person": "Are these one person?",
  "look-alike": "Are these one person?",
  weak: "This person is found less surely than others",
};
const CLAIMS = {
  mislabelled: "the name is wrong", divided: "they are two people", "same-person": "they are one person",
  "look-alike": "they are two people",
};
const KINDS = {
  mislabelled: "probably mislabelled", divided: "probably two people", duplicate: "copies",
  "same-person": "probably one person under two names", "look-alike": "look-alikes", weak: "weakly enrolled",
};

export async function show(place, signal) {
  const stage = el("div", { class: "stack" }, waiting("Looking through the gallery …"));
  place.append(el("h1", { tabindex: "-1" }, "Review"), stage);
  load(stage, signal);
  return "Review";
}

async function load(stage, signal) {
  try {
    if (!(await get("/v1/gallery", null, signal)).people) {
      stage.replaceChildren(el("p", { class: "note" }, "Nobody is enrolled yet, so there is nothing to review. ",
        el("a", { href: "#/people" }, "Add the first person"), "."));
      return;
    }
    const { findings } = await get("/v1/review", null, signal);
    stage.replaceChildren(...reviewing(findings));
  } catch (error) {
    if (!signal.aborted) stage.replaceChildren(trouble(error));
  }
}

function reviewing(rows) {
  const findings = rows.filter((row) => row.kind !== "fpir");
  const rate = rows.find((row) => row.kind === "fpir");
  const card = el("section", { class: "card finding", tabindex: "-1", "aria-label": "Finding" });
  let at = 0;
  let busy = false; // a decision is being carried out

  const move = (step) => {
    at = Math.min(findings.length, Math.max(0, at + step));
    render();
    card.focus();
  };
  const decide = async (choice) => {
    if (busy) return;
    if (!choice.act) {
      if (choice.go) location.hash = choice.go;
      else move(1);
      return;
    }
    busy = true;
    try {
      await choice.act();
      const change = await latestChange();
      notice(choice.told, () => undo(change, () => move(-1)));
      move(1);
    } catch (error) {
      card.querySelector(".failed").replaceChildren(trouble(error));
    } finally {
      busy = false;
    }
  };
  const render = () => {
    if (at === findings.length) {
      card.replaceChildren(el("h2", {}, findings.length ? "That was all" : "Nothing to put right"),
        el("p", {}, findings.length ? "Every finding has been looked at." : "No face looks mislabelled, and no two people look like one."),
        findings.length ? el("div", { class: "row" }, button("Look at the last again", () => move(-1))) : "");
      say("That was all");
      return;
    }
    const finding = findings[at];
    const choices = choicesOf(finding);
    card.replaceChildren(
      el("p", { class: "quiet" }, `${at + 1} of ${findings.length}: ${KINDS[finding.kind]}`),
      el("h2", {}, QUESTIONS[finding.kind]),
      el("div", { class: "sides" }, ...sidesOf(finding)),
      el("p", { class: "quiet centred" }, evidence(finding)),
      el("div", { class: "failed" }),
      el("div", { class: "keys" }, ...choices.map((choice) => button(
        el("span", { class: "row" }, el("kbd", {}, choice.key), choice.label), () => decide(choice)))),
    );
    say(`${QUESTIONS[finding.kind]} ${finding.name}${finding.other ? `, ${finding.other}` : ""}. ${evidence(finding)}`);
  };
  card.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || at === findings.length) return;
    const key = { ArrowLeft: "←", ArrowRight: "→", ArrowDown: "↓", ArrowUp: "↑" }[event.key];
    if (!key) return;
    event.preventDefault();
    if (key === "↑") move(-1);
    else {
      const choice = choicesOf(findings[at]).find((each) => each.key === key);
      if (choice) decide(choice);
    }
  });
  render();
  return [
    el("p", {}, findings.length ? `${count(findings.length, "finding")} to look at, the surest first.` : ""),
    card,
    findings.length ? el("p", { class: "quiet" }, "By keyboard: ", el("kbd", {}, "←"), " and ", el("kbd", {}, "→"),
      " decide, ", el("kbd", {}, "↓"), " leaves it for later, ", el("kbd", {}, "↑"), " goes back. They work while the card has the focus.") : "",
    rate ? el("p", { class: "note" }, sentence(rate.reason)) : "",
  ];
}

function side(face, name, note) {
  const alt = `${note}: ${name}`;
  return el("div", { class: "side" }, face === null ? portrait(name, alt, "large") : chip(face, alt, "large"),
    el("span", { class: "quiet" }, note), el("a", { href: `#/people/${encodeURIComponent(name)}` }, name));
}

function sidesOf({ kind, name, other, face, other_face: otherFace }) {
  switch (kind) {
    case "mislabelled": return [
      side(face, name, "This face, enrolled as"), other ? side(null, other, "Looks like") : side(null, name, "Others of"),
    ];
    case "divided":
    case "weak": return [side(null, name, "Enrolled as")];
    default: return [side(face, name, "Enrolled as"), side(otherFace, other ?? name, "Enrolled as")];
  }
}

function evidence(finding) {
  const parts = [sentence(finding.reason)];
  if (finding.probability !== null) parts.push(`Probability that ${CLAIMS[finding.kind]}: ${probability(finding.probability)}.`);
  return parts.join(" ");
}

/** What can be decided, by key. */
function choicesOf(finding) {
  const { kind, name, other, face, other_face: otherFace } = finding;
  const later = { key: "↓", label: "Later" };
  const hash = `#/people/${encodeURIComponent(name)}`;
  const reject = (person, which) => () => post(`${personPath(person)}/reject`, { face: which });
  switch (kind) {
    case "mislabelled": {
      if (!other) return [{ key: "←", label: `It is ${name}` }, { key: "→", label: `It is not ${name}`, told: `The face is no longer ${name}'s.`, act: reject(name, face) }, later];
      return [
        { key: "←", label: `It is ${name}`, told: `The face stays ${name}'s.`, act: reject(other, face) },
        { key: "→", label: `It is ${other}`, told: `The face is ${other}'s now.`, act: () => post(`${personPath(name)}/split`, { faces: [face], into: other }) },
        later,
      ];
    }
    case "divided": return [{ key: "←", label: "One person" }, { key: "→", label: "Two people: split …", go: hash }, later];
    case "duplicate":
      if (!other || other === name) return [{ key: "→", label: "Next" }];
      return [
        { key: "←", label: `It is ${name}`, told: `${other} no longer has the picture.`, act: reject(other, otherFace) },
        { key: "→", label: `It is ${other}`, told: `${name} no longer has the picture.`, act: reject(name, face) },
        later,
      ];
    case "weak": return [{ key: "→", label: "Add photos …", go: hash }, later];
    default: return [
      { key: "←", label: "Two people", told: `${name} and ${other} stay two people.`, act: async () => reject(name, (await get(personPath(other))).face)() },
      { key: "→", label: "One person: merge", told: `${other} is merged into ${name}.`, act: () => post(`${personPath(name)}/merge`, { other }) },
      later,
    ];
  }
}
