/** The four answers, rates and numbers in words. */

/** What each answer is called, and the sign that stands for it where there is little room. */
export const ANSWERS = {
  match: { word: "Match", sign: "✓" },
  unknown: { word: "Unknown", sign: "?" },
  ambiguous: { word: "Ambiguous", sign: "≈" },
  unusable: { word: "Unusable", sign: "⊘" },
};

export function count(number, one, many = `${one}s`) {
  return `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
}

export function distance(value) {
  return value.toFixed(3);
}

/** A probability as per cent, never rounded to certainty. */
export function probability(value) {
  if (value > 0.999) return "over 99.9 %";
  if (value < 0.001) return "under 0.1 %";
  return `${(100 * value).toFixed(1)} %`;
}

/** A rate as "1 in 1,000". */
export function oneIn(rate) {
  return `1 in ${Math.round(1 / rate).toLocaleString("en")}`;
}

export function percent(share) {
  const value = 100 * share;
  if (value === 0) return "none";
  if (value === 100) return "all";
  if (value > 99.9) return "over 99.9 %";
  if (value < 0.01) return "under 0.01 %";
  return `${value < 1 ? value.toFixed(2) : value.toFixed(1)} %`;
}

/** Whom a face shows, as a heading. */
export function whom(face) {
  const [first, second] = face.candidates;
  switch (face.answer) {
    case "match": return face.name;
    case "ambiguous": return second ? `${first.name} or ${second.name}` : "Two people";
    case "unknown": return "Nobody enrolled";
    default: return "Cannot be recognised";
  }
}

/** Why, in a sentence. */
export function why(face) {
  const nearest = face.candidates[0];
  switch (face.answer) {
    case "match":
      return "Near enough: within the threshold.";
    case "ambiguous":
      return "Both are near enough, and neither is clearly nearer.";
    case "unknown":
      if (!nearest) return sentence(face.reason);
      return nearest.distance > face.threshold
        ? `The nearest is ${nearest.name}, who is beyond the threshold.`
        : sentence(face.reason);
    default:
      return sentence(face.reason);
  }
}

export function sentence(text) {
  if (!text) return "";
  return `${text[0].toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}`;
}

/** "2 known, 1 unknown", for a photo. */
export function summary(faces) {
  const seen = faces.filter((face) => face.box);
  if (!seen.length) return "No face was found in this photo.";
  const parts = [["match", "known"], ["ambiguous", "ambiguous"], ["unknown", "unknown"], ["unusable", "unusable"]]
    .map(([answer, word]) => [seen.filter((face) => face.answer === answer).length, word])
    .filter(([number]) => number)
    .map(([number, word]) => `${number} ${word}`);
  return `${count(seen.length, "face")}: ${parts.join(", ")}.`;
}
