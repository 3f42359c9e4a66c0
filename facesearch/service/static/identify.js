/** Identify: who is on a photo. */

import { form, get, latestChange, personPath, post } from "./api.js";
import { chip } from "./chip.js";
import { confirm, nameField } from "./dialogs.js";
import { button, el, notice, say, trouble, waiting } from "./dom.js";
import { enrol } from "./enrolling.js";
import { intake } from "./intake.js";
import { undo } from "./people.js";
import { canvasFor, cutOut, decode, draw, faceAt, surroundings } from "./picture.js";
import { ANSWERS, count, distance, probability, sentence, summary, whom, why } from "./words.js";

const results = el("div", { class: "results" }); // kept while other views are shown
let queue = Promise.resolve();

export async function show(place, signal) {
  const take = (photos) => {
    for (const photo of photos) add(photo);
  };
  const stage = el("div", {});
  const camera = button("Use the camera", async () => {
    const { live } = await import("./camera.js");
    await live(stage, signal, take, camera);
  });
  place.append(
    el("h1", { tabindex: "-1" }, "Who is this?"),
    await emptyGallery(signal),
    intake({
      label: "Choose photos",
      hint: "or drop them here, or paste one. Photos stay on this server and are not kept.",
      multiple: true, take, signal, extra: [camera],
    }),
    stage,
    results,
  );
  return "Identify";
}

/** What to do first, if nobody is enrolled. */
async function emptyGallery(signal) {
  try {
    if ((await get("/v1/gallery", null, signal)).people) return "";
  } catch (error) {
    return trouble(error);
  }
  return el(
    "section",
    { class: "note", "aria-labelledby": "nobody" },
    el("h2", { id: "nobody" }, "Nobody is enrolled yet"),
    el("p", {}, "facesearch can name people once it has seen them. Give it a few photos of each: ",
      el("a", { href: "#/people" }, "add the first person"), ", or enrol whole folders with ",
      el("code", {}, "facesearch enroll --tree people/"), "."),
  );
}

/** Put a photo into the queue; photos are asked about one after the other. */
function add(photo) {
  const article = el("article", { class: "card result" });
  const heading = el("h2", { tabindex: "-1" }, photo.name);
  const close = button("✕", () => {
    article.remove();
    (results.querySelector("h2") ?? document.querySelector("h1"))?.focus();
  }, { class: "plain close", "aria-label": `Close ${photo.name}` });
  const body = el("div", {}, waiting("Looking at the photo …"));
  article.append(el("header", {}, heading, close), body);
  results.prepend(article);
  const look = () => identify(photo, article, body);
  queue = queue.then(look);
}

async function identify(photo, article, body) {
  if (!results.contains(article)) return; // it was closed
  try {
    const [picture, answer] = await Promise.all([
      decode(photo), post("/v1/identify", form([["photo", photo]]), { top: 5 }),
    ]);
    const focused = body.contains(document.activeElement);
    body.replaceChildren(...shown(photo, picture, answer, () => identify(photo, article, body)));
    if (focused) article.querySelector("h2").focus();
    say(`${photo.name}. ${summary(answer.faces)} ${answer.faces.filter((face) => face.box).map(whom).join(", ")}`);
  } catch (error) {
    body.replaceChildren(trouble(error));
  }
}

function shown(photo, picture, answer, again) {
  const { width, height } = answer;
  const faces = answer.faces.filter((face) => face.box);
  const seen = { width, height, faces };
  const canvas = canvasFor(width, height, {
    class: "photo", role: "img", "aria-label": `${photo.name}. ${summary(answer.faces)}`,
  });
  const label = (face) => (faces.length > 1 ? [`${face.face + 1} ${whom(face)}`, `${face.face + 1}`] : [whom(face), ""]);
  let chosen = null;
  const redraw = () => draw(canvas, picture, seen, label, chosen);
  new ResizeObserver(redraw).observe(canvas);
  const choose = (face) => {
    if (chosen === face) return;
    chosen = face;
    redraw();
  };
  const items = new Map(faces.map((face) => [face, item(face, { photo, picture, again, several: faces.length > 1 })]));
  for (const [face, li] of items) {
    for (const event of ["pointerenter", "focusin"]) li.addEventListener(event, () => choose(face));
    for (const event of ["pointerleave", "focusout"]) li.addEventListener(event, () => choose(null));
  }
  canvas.addEventListener("click", (event) => {
    const face = faceAt(canvas, seen, event);
    if (face) items.get(face).focus();
  });
  return [
    el("p", { class: "summary" }, summary(answer.faces)),
    el("div", { class: width > 1.6 * height && faces.length > 1 ? "beside wide" : "beside" },
      el("figure", {}, canvas,
        picture ? null : el("figcaption", { class: "quiet" }, "This browser cannot show this kind of photo; the faces are where they are marked.")),
      faces.length ? el("ol", { class: "faces" }, ...items.values()) : noFace(answer.faces[0])),
  ];
}

function noFace(face) {
  return el("div", {}, face?.reason ? el("p", {}, sentence(face.reason)) : null,
    el("p", { class: "quiet" }, "A larger or sharper photo, seen from the front, may help."));
}

function item(face, { photo, picture, again, several }) {
  const { word, sign } = ANSWERS[face.answer];
  const facts = [];
  if (face.distance !== null) facts.push(["Distance", distance(face.distance)]);
  if (face.distance !== null) facts.push(["Threshold", distance(face.threshold)]);
  if (face.probability !== null) facts.push(["Probability", probability(face.probability)]);
  const nearest = face.candidates[0];
  const supported = (face.answer === "match" || face.answer === "ambiguous") && nearest;
  const supporting = supported ? face.candidates.slice(0, face.answer === "match" ? 1 : 2) : [];
  return el(
    "li",
    { class: `face ${face.answer}`, tabindex: "-1", "data-answer": face.answer },
    el("div", { class: "pair" },
      el("figure", {}, cutOut(picture, face.box, 112), el("figcaption", {}, several ? `Face ${face.face + 1}` : "Photo")),
      ...supporting.map((candidate) => el("figure", {}, chip(candidate.face, `Enrolled photo of ${candidate.name}`),
        el("figcaption", {}, supporting.length > 1 ? candidate.name : "Enrolled")))),
    el("div", { class: "told" },
      el("p", { class: "badge" }, el("span", { "aria-hidden": "true" }, sign), word),
      el("h3", {}, face.answer === "match" ? personLink(face.name) : whom(face)),
      el("p", {}, why(face)),
      face.answer === "match" && face.reason ? el("p", {}, sentence(face.reason)) : null,
      facts.length ? el("dl", { class: "facts" }, ...facts.map(([name, value]) =>
        el("div", {}, el("dt", {}, name), el("dd", {}, value)))) : null,
      face.candidates.length ? candidates(face) : null,
      face.answer === "match" ? rejection(face, photo, again) : null,
      face.answer === "unknown" || face.answer === "ambiguous" ? enrolment(face, several ? () => surroundings(picture, face, photo) : () => photo, again) : null),
  );
}

function personLink(name) {
  return el("a", { href: `#/people/${encodeURIComponent(name)}` }, name);
}

function candidates(face) {
  return el("details", {}, el("summary", {}, `The nearest ${count(face.candidates.length, "person", "people")}`),
    el("ol", { class: "candidates" }, ...face.candidates.map((candidate) => el("li", {},
      chip(candidate.face, "", "small"),
      personLink(candidate.name),
      el("span", {}, `${distance(candidate.distance)}${candidate.distance <= face.threshold ? ", within the threshold" : ""}`)))));
}

/** A button for a face that is not whose it is said to be. */
function rejection({ face, name }, photo, again) {
  const told = el("div", {});
  const reject = async () => {
    const sure = await confirm(`This is not ${name}?`,
      [el("p", {}, `No search will call this face ${name} again. You can undo this.`)], "It is not");
    if (!sure) return;
    try {
      await post(`${personPath(name)}/reject`, form([["photo", photo], ["face", face]]));
      const change = await latestChange();
      notice(`The face is known not to be ${name}'s.`, () => undo(change, again));
      await again();
    } catch (error) {
      told.replaceChildren(trouble(error));
    }
  };
  return el("div", {}, button(`Not ${name}`, reject), told);
}

/** A form that makes an unknown face known. photoOf: gives the photo to enrol it from. */
function enrolment(face, photoOf, again) {
  const [field, list] = nameField();
  const told = el("div", { "aria-live": "polite" });
  const asked = el("form", { class: "enrol" },
    el("label", { class: "field" }, "Who is it?", field, list), el("button", {}, "Enrol"), told);
  asked.addEventListener("submit", async (event) => {
    event.preventDefault();
    const name = field.value.trim();
    if (name) await enrol(name, [await photoOf()], { told, done: again, which: "largest" });
  });
  return asked;
}
