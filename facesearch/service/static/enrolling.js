/** Enrolling photos of one person: progress, and what became of each photo, in words. */

import { enrol as send } from "./api.js";
import { button, el, notice, say, trouble, waiting } from "./dom.js";
import { count, sentence } from "./words.js";

const AT_ONCE = 40; // photos of a request; those of a request are looked at together

/**
 * told: an element for what is to be said. done: called if something was added. which: "only", or
 * the "largest" face of each. insist: what would be held back, too.
 */
export async function enrol(name, photos, { told, done, which = "only", insist = false }) {
  const results = [];
  try {
    for (let at = 0; at < photos.length; at += AT_ONCE) {
      told.replaceChildren(waiting(photos.length > AT_ONCE
        ? `Enrolling ${name}: ${at} of ${photos.length} photos …` : `Enrolling ${name} …`));
      results.push(...await send(name, photos.slice(at, at + AT_ONCE), which, insist));
    }
    told.replaceChildren();
  } catch (error) {
    told.replaceChildren(trouble(error));
  }
  const added = results.filter(({ status }) => status === "enrolled").length;
  const left = results.filter(({ status }) => status !== "enrolled");
  if (added) {
    notice(`${name}: ${count(added, "photo")} enrolled${left.length ? `, ${left.length} left out` : ""}.`);
    try {
      await done();
    } catch (error) {
      told.replaceChildren(trouble(error));
    }
  }
  if (!left.length) return;
  const again = () => enrol(name, photos, { told, done, which, insist: true });
  told.replaceChildren(el("div", { class: "trouble" },
    el("p", {}, el("strong", {}, `Left out: ${count(left.length, "photo")}`)),
    el("ul", {}, ...left.map(({ photo, reason }) =>
      el("li", {}, el("strong", {}, photo), `: ${sentence(reason || "enrolled already")}`))),
    left.some(({ held }) => held) ? button("Enrol what was held back all the same", again) : null));
  say(`Left out: ${count(left.length, "photo")}. ${sentence(left[0].reason)}`);
}
