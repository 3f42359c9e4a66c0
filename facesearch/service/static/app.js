/** The frame of the page: which view is shown, where the focus goes, the token. */

import { whenTokenIsNeeded } from "./api.js";
import { askSecret } from "./dialogs.js";
import { el, trouble } from "./dom.js";

const VIEWS = {
  identify: () => import("./identify.js"),
  people: () => import("./people.js"),
  person: () => import("./person.js"),
  review: () => import("./review.js"),
  compare: () => import("./compare.js"),
  model: () => import("./model.js"),
};

const main = document.getElementById("main");
let leaving = new AbortController();
let first = true;

whenTokenIsNeeded((wrong) =>
  askSecret("This server wants a token", "Token", "Use it", [
    el("p", {}, wrong ? "This token is not known here." : "Ask whoever runs the server for it."),
    el("p", { class: "quiet" }, "It is kept until this tab is closed."),
  ]));

async function route() {
  if (location.hash && !location.hash.startsWith("#/")) return; // a place within the page
  const [view, ...rest] = location.hash.slice(2).split("/");
  const argument = rest.length ? decodeURIComponent(rest.join("/")) : null;
  const name = view === "people" && argument ? "person" : view in VIEWS ? view : "identify";
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  mark(view in VIEWS ? view : "identify");
  const isFirst = first;
  first = false;
  try {
    const { show } = await VIEWS[name]();
    if (signal.aborted) return;
    const place = el("div", { class: "view", id: `view-${name}` });
    const title = await show(place, signal, argument);
    if (signal.aborted) return;
    document.title = `${title} · facesearch`;
    main.replaceChildren(place);
  } catch (error) {
    if (signal.aborted) return;
    main.replaceChildren(el("h1", { tabindex: "-1" }, "This view cannot be shown"), trouble(error));
  }
  if (!isFirst) {
    window.scrollTo(0, 0);
    main.querySelector("h1")?.focus({ preventScroll: true });
  }
}

function mark(view) {
  for (const link of document.querySelectorAll("nav a")) {
    if (link.getAttribute("href") === `#/${view}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

window.addEventListener("hashchange", route);
route();
