/** Compare: whether two photos show one person. */

import { form, get, post } from "./api.js";
import { chart, table } from "./charts.js";
import { el, say, trouble, waiting } from "./dom.js";
import { intake } from "./intake.js";
import { canvasFor, decode } from "./picture.js";
import { distance, oneIn, percent, probability, sentence } from "./words.js";

const kept = { a: null, b: null, answer: null }; // while other views are shown

export async function show(place, signal) {
  const outcome = el("div", { class: "stack", "aria-live": "polite" });
  const sides = { a: half("a"), b: half("b") };

  function half(side) {
    const stage = el("div", {});
    const zone = el("section", { class: "half card", "aria-label": side === "a" ? "First photo" : "Second photo" },
      intake({ label: side === "a" ? "Choose the first photo" : "Choose the second photo", hint: "or drop it here.", multiple: false, take: ([photo]) => take(side, photo) }),
      stage);
    return { zone, stage };
  }

  async function take(side, photo) {
    const picture = await decode(photo);
    kept[side] = { photo, picture };
    kept.answer = null;
    await preview(side);
    await compare();
  }

  function preview(side) {
    if (!kept[side]) return;
    const { photo, picture } = kept[side];
    const caption = el("figcaption", { class: "quiet" }, picture ? photo.name : `${photo.name} (this browser cannot show it)`);
    const figure = el("figure", {}, caption);
    if (picture) {
      const canvas = canvasFor(picture.width, picture.height, { role: "img", "aria-label": photo.name });
      canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
      figure.prepend(canvas);
    }
    sides[side].stage.replaceChildren(figure);
  }

  async function compare() {
    if (!kept.a || !kept.b) {
      outcome.replaceChildren();
      return;
    }
    outcome.replaceChildren(waiting("Comparing …"));
    try {
      kept.answer ??= await post("/v1/compare", form([["a", kept.a.photo], ["b", kept.b.photo]]), null, signal);
      const { calibration } = await get("/v1/models/current", null, signal);
      outcome.replaceChildren(...told(kept.answer, calibration));
      say(heading(kept.answer));
    } catch (error) {
      if (!signal.aborted) outcome.replaceChildren(trouble(error));
    }
  }

  document.addEventListener("paste", (paste) => {
    const [photo] = paste.clipboardData.files;
    if (photo) take(kept.a && !kept.b ? "b" : "a", photo);
  }, { signal });
  place.append(
    el("h1", { tabindex: "-1" }, "Are these two the same person?"),
    el("p", { class: "quiet" }, "The largest face of each photo counts. A pasted photo takes the free side."),
    el("div", { class: "sides halves" }, sides.a.zone, sides.b.zone),
    outcome,
  );
  for (const side of ["a", "b"]) preview(side);
  compare();
  return "Compare";
}

function heading(answer) {
  if (answer.same === null) return "Cannot be told";
  return answer.same ? "The same person" : "Two different people";
}

function told(answer, calibration) {
  const tone = answer.same === null ? "unusable" : answer.same ? "match" : "unknown";
  const sign = { unusable: "⊘", match: "=", unknown: "≠" }[tone];
  const facts = answer.same === null ? [] : [
    ["Distance", distance(answer.distance)], ["Threshold", distance(answer.threshold)],
    ["Probability that it is one person", probability(answer.probability)],
  ];
  const verdict = el("section", { class: `card verdict ${tone}` },
    el("h2", {}, el("span", { "aria-hidden": "true" }, `${sign} `), heading(answer)),
    el("div", { class: "pair" }, ...["a", "b"].filter((side) => answer.chips?.[side]).map((side) => el("figure", {},
      el("img", { class: "chip large", src: answer.chips[side], alt: side === "a" ? "Aligned face of the first photo" : "Aligned face of the second photo" }),
      el("figcaption", {}, side === "a" ? "First, aligned" : "Second, aligned")))),
    answer.reason ? el("p", {}, sentence(answer.reason)) : null,
    facts.length ? el("dl", { class: "facts" }, ...facts.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value)))) : null,
    answer.same === null ? null : el("p", {}, meaning(answer, calibration)));
  return answer.same === null ? [verdict] : [verdict, histogram(answer, calibration)];
}

/** What the threshold means. */
function meaning({ same, threshold, distance: apart }, { fmr }) {
  const near = same ? "is no larger than" : "is larger than";
  return `0 is the same picture, 2 the opposite. The distance of ${distance(apart)} ${near} the threshold of `
    + `${distance(threshold)}, which is set so that at most ${oneIn(fmr)} pairs of different people are taken for `
    + "one person, with 95 % confidence, in each population it was calibrated on.";
}

/** Where the distance lies among those of genuine and impostor pairs. */
function histogram({ distance: apart, threshold, standing }, { bins, populations }) {
  const [genuine, impostor] = ["genuine", "impostor"].map((kind) => shares(populations.map((each) => each[`${kind}_histogram`])));
  const steps = (share) => share.flatMap((value, at) => [[bins[at], value], [bins[at + 1], value]]);
  const last = Math.max(lastUsed(genuine), lastUsed(impostor)) + 1;
  const to = Math.min(2, Math.ceil(bins[last] * 10) / 10 + 0.1);
  const most = Math.max(...genuine, ...impostor);
  const ticks = [];
  for (let tick = 0; tick <= to + 1e-9; tick += 0.2) ticks.push(tick);
  const within = (share, limit) => share.reduce((sum, value, at) => sum + value * part(bins[at], bins[at + 1], limit), 0);
  const words = `Farther apart than ${distance(apart)} lie ${percent(standing.genuine)} of the pairs of one person; nearer, `
    + `${percent(standing.impostor)} of the pairs of two people. Within the threshold of ${distance(threshold)} lie `
    + `${percent(within(genuine, threshold))} and ${percent(within(impostor, threshold))}. Every population counts the same.`;
  return el("section", { class: "card stack", "aria-label": "Among other pairs" },
    chart({
      title: "This distance among other pairs", words,
      x: { title: "distance", from: 0, to, ticks, format: (tick) => tick.toFixed(1) },
      y: { title: "share of the pairs", from: 0, to: most * 1.15, ticks: [], format: String },
      series: [
        { name: "one person", points: steps(genuine), area: true },
        { name: "two people", points: steps(impostor), area: true },
      ],
      marks: [{ name: `these two ${distance(apart)}`, x: apart, strong: true }, { name: `threshold ${distance(threshold)}`, x: threshold }],
    }),
    el("p", {}, words),
    el("details", {}, el("summary", {}, "As a table"),
      table("Share of the pairs by distance", ["distance", "one person", "two people"],
        genuine.map((value, at) => [`${bins[at].toFixed(3)} to ${bins[at + 1].toFixed(3)}`, percent(value), percent(impostor[at])])
          .slice(0, last + 1))));
}

/** The mean over histograms of their shares. */
function shares(histograms) {
  const used = histograms.map((counts) => [counts, counts.reduce((sum, value) => sum + value, 0)]).filter(([, all]) => all);
  return histograms[0].map((_, at) => used.reduce((sum, [counts, all]) => sum + counts[at] / all / used.length, 0));
}

function lastUsed(share) {
  return share.findLastIndex((value) => value > 0);
}

/** How much of a bin lies below a limit. */
function part(from, to, limit) {
  return Math.min(1, Math.max(0, (limit - from) / (to - from)));
}
