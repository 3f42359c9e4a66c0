/** Pictures of enrolled faces, fetched when they come into view. */

import { chip as fetchChip, get, personPath } from "./api.js";
import { el } from "./dom.js";

const sources = new WeakMap(); // of an image: a function that resolves to its face's number

// what an image shows before: nothing, where one without a source would show that it is broken
const NOTHING = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw==";

const seen = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    seen.unobserve(target);
    load(target);
  }
}, { rootMargin: "200px" });

/** The picture of an enrolled face. alt: empty where the name stands beside it. */
export function chip(face, alt = "", size = "") {
  return watched(async () => face, alt, size);
}

/** The picture of a person's typical face. */
export function portrait(name, alt = "", size = "") {
  return watched(async () => (await get(personPath(name))).face, alt, size);
}

function watched(source, alt, size) {
  const image = el("img", { class: `chip ${size}`, src: NOTHING, alt, width: "112", height: "112" });
  sources.set(image, source);
  seen.observe(image);
  return image;
}

async function load(image) {
  try {
    const url = URL.createObjectURL(await fetchChip(await sources.get(image)()));
    image.addEventListener("load", () => URL.revokeObjectURL(url), { once: true });
    image.src = url;
  } catch {
    image.classList.add("gone"); // the photo was moved or cannot be read
    if (image.alt) image.alt += " (no picture)";
  }
}
