/** Model: its card, and what is known of its errors. */

import { get } from "./api.js";
import { chart, decades, table } from "./charts.js";
import { el } from "./dom.js";
import { markdown } from "./markdown.js";
import { count, distance, oneIn, percent } from "./words.js";

const LEAST = 1e-6; // the smallest rate that is drawn

export async function show(place, signal) {
  const model = await get("/v1/models/current", null, signal);
  const { calibration } = model;
  place.append(
    el("h1", { tabindex: "-1" }, `Model ${model.name}`),
    calibration ? thresholds(calibration) : el("p", { class: "note" },
      "This model has no calibration, so that nothing is known of its errors. ", el("code", {}, "facesearch calibrate"), " finds it."),
    calibration ? curves(calibration) : "",
    model.realised.length ? promises(model.realised) : "",
    model.card ? el("details", { class: "card", open: true }, el("summary", {}, "The model's card"),
      el("div", { class: "text" }, ...markdown(model.card.replace(/^# .*\n/, "")))) : "",
    el("p", { class: "quiet" }, `${model.dimension} numbers a face, detector ${model.detector}, fingerprint `,
      el("code", {}, model.fingerprint.slice(0, 12))),
  );
  return "Model";
}

function thresholds({ people, fmr, fpir, threshold, smallest_fmr: smallest, warning }) {
  return el("section", { class: "card stack", "aria-labelledby": "thresholds" },
    el("h2", { id: "thresholds" }, "What the thresholds promise"),
    el("p", {}, `Distances run from 0, the same picture, to 2. Two photos are taken for one person up to ${distance(threshold)}: `
      + `of pairs of two people at most ${oneIn(fmr)} come that near, with 95 % confidence, for people like each of the populations below.`),
    el("p", {}, `A search names a stranger in at most ${oneIn(fpir)} cases. Its threshold is found for the gallery as it is now, `
      + "and is stricter the more people are enrolled."),
    el("p", { class: "quiet" }, `Measured on ${count(people, "person", "people")} whom training never saw.`
      + `${smallest ? ` No rate under ${smallest.toPrecision(2)} can be promised.` : ""}`),
    warning ? el("p", { class: "note" }, warning) : null);
}

function curves({ populations, fmr }) {
  const drawn = populations.map(({ name, curve }) => ({
    name, curve: curve.filter(([, falseMatch]) => falseMatch > 0),
  }));
  const rates = { title: "false match rate", from: LEAST, to: 1, log: true, ticks: decades(LEAST, 1).filter((_, at) => at % 2 === 0), format: power };
  const found = (curve) => {
    const within = curve.filter(([, falseMatch]) => falseMatch <= fmr);
    return within.length ? 1 - within.at(-1)[2] : 0;
  };
  const words = `At one false match in ${Math.round(1 / fmr).toLocaleString("en")}, the share of pairs of one person that is recognised: `
    + `${populations.map(({ name, curve }) => `${name} ${percent(found(curve))}`).join(", ")}.`;
  const missed = { title: "false non-match rate", from: 1e-3, to: 1, log: true, ticks: decades(1e-3, 1), format: power };
  return el("section", { class: "card stack", "aria-labelledby": "curves" },
    el("h2", { id: "curves" }, "How well it tells people apart"),
    el("div", { class: "two" },
      chart({
        title: "ROC", words, x: rates,
        y: { title: "recognised", from: 0, to: 1, ticks: [0, 0.25, 0.5, 0.75, 1], format: (tick) => `${100 * tick} %` },
        series: drawn.map(({ name, curve }) => ({ name, points: curve.map(([, falseMatch, falseNonMatch]) => [falseMatch, 1 - falseNonMatch]) })),
      }),
      chart({
        title: "DET", words, x: rates, y: missed,
        series: drawn.map(({ name, curve }) => ({ name, points: curve.map(([, falseMatch, falseNonMatch]) => [falseMatch, falseNonMatch]) })),
      })),
    el("p", {}, words),
    el("details", {}, el("summary", {}, "As a table"), table("Error rates by threshold, of each population: FMR, FNMR",
      ["threshold", ...populations.map(({ name }) => name)],
      populations[0].curve.map(([at], row) => [distance(at), ...populations.map(({ curve }) => `${rate(curve[row][1])}, ${rate(curve[row][2])}`)])
        .filter((cells, row) => populations.some(({ curve }) => curve[row][1] > 0 && curve[row][1] < 1)))));
}

/** What was asked for, and what came of it on people whom neither training nor calibration saw. */
function promises(rows) {
  const pairs = rows.filter((row) => row.rate === "FMR");
  const names = [...new Set(pairs.map(({ people }) => people))];
  const from = 1e-5;
  const axis = { from, to: 1, log: true, ticks: decades(from, 1), format: power };
  const kept = rows.filter(({ requested, realised }) => realised <= requested).length;
  const words = `${kept} of ${rows.length} rates that were asked for were kept.`;
  return el("section", { class: "card stack", "aria-labelledby": "promises" },
    el("h2", { id: "promises" }, "Error asked for, error that came of it"),
    pairs.length ? chart({
      title: "Two photos compared", words,
      x: { ...axis, title: "false match rate asked for" }, y: { ...axis, title: "what came of it" },
      series: [
        ...names.map((name) => ({
          name, points: pairs.filter(({ people }) => people === name).map(({ requested, realised }) => [requested, realised]).sort(([a], [b]) => a - b),
        })),
        { name: "exactly as asked for", points: [[from, from], [1, 1]] },
      ],
    }) : null,
    el("p", {}, `${words} Below the diagonal fewer strangers are taken for somebody than was accepted; the price is that more people are missed.`),
    el("details", {}, el("summary", {}, "As a table, with what it costs"), table("Requested against realised error", ["people", "gallery", "rate", "requested", "realised", "people missed"],
      rows.map((row) => [row.people, row.gallery ?? "two photos", row.rate, rate(row.requested), rate(row.realised), percent(row.missed)]))));
}

function rate(value) {
  return value === 0 ? "0" : value < 0.001 ? value.toExponential(1) : value.toPrecision(2);
}

function power(value) {
  const exponent = Math.round(Math.log10(value));
  if (exponent >= -2) return String(10 ** exponent);
  return `10${[...String(exponent)].map((letter) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(letter)]).join("")}`;
}
