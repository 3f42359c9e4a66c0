/** Where photos come in: dropped, pasted, chosen. */

import { el } from "./dom.js";

/**
 * A field for photos. label: of its button. multiple: more than one at a time. take: called with
 * an array of files. signal: ends the listening for pasted photos, which only one field of a view
 * asks for by giving it.
 */
export function intake({ label, hint, multiple = false, take, signal = null, extra = [] }) {
  const input = el("input", { type: "file", accept: "image/*,.heic,.heif,.avif", multiple, class: "hidden" });
  input.addEventListener("change", () => {
    const chosen = [...input.files];
    input.value = ""; // the same photo can be chosen again
    if (chosen.length) take(chosen);
  });
  const zone = el(
    "div",
    { class: "drop" },
    el("p", { class: "row" }, el("label", { class: "button primary" }, label, input), ...extra),
    hint ? el("p", { class: "quiet" }, hint) : null,
  );
  for (const event of ["dragenter", "dragover"]) {
    zone.addEventListener(event, (drag) => {
      drag.preventDefault();
      zone.classList.add("over");
    });
  }
  zone.addEventListener("dragleave", (drag) => {
    if (!zone.contains(drag.relatedTarget)) zone.classList.remove("over");
  });
  zone.addEventListener("drop", (drop) => {
    drop.preventDefault();
    zone.classList.remove("over");
    const dropped = [...drop.dataTransfer.files];
    if (dropped.length) take(multiple ? dropped : dropped.slice(0, 1));
  });
  if (signal) {
    document.addEventListener("paste", (paste) => {
      const pasted = [...paste.clipboardData.files];
      if (pasted.length) take(multiple ? pasted : pasted.slice(0, 1));
    }, { signal });
  }
  return zone;
}

// A photo that is dropped beside a field must not replace the page
for (const event of ["dragover", "drop"]) {
  document.addEventListener(event, (drag) => drag.preventDefault());
}
