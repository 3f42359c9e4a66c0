/** The service's HTTP interface: every request of the page is made here. */

const KEY = "facesearch-token";

/** What an error's status means here. */
const TITLES = {
  0: "The server does not answer",
  400: "The server did not understand this",
  401: "A token is needed",
  403: "This is not allowed",
  404: "This is not there",
  409: "This cannot be done now",
  413: "This is too large",
  415: "This is not a photo",
  422: "This cannot be used",
  429: "The server is busy",
  503: "The server is busy",
};

/** An answer that is an error: what, and why. */
export class Problem extends Error {
  constructor(status, detail = "") {
    super(detail);
    this.status = status;
    this.title = TITLES[status] ?? `The server failed (${status})`;
    this.detail = detail;
  }
}

let askForToken = async () => null;
let asking = null;

/** ask: called with whether one was given that is wrong; resolves to a token, or to null. */
export function whenTokenIsNeeded(ask) {
  askForToken = ask;
}

export const get = (path, query, signal) => json("GET", path, { query, signal });
export const post = (path, body, query, signal) => json("POST", path, { body, query, signal });
export const patch = (path, body) => json("PATCH", path, { body });
export const remove = (path) => json("DELETE", path, {});

/** `/v1/people/<name>`, whatever the name. */
export function personPath(name) {
  return `/v1/people/${encodeURIComponent(name)}`;
}

/** The picture of an enrolled face, a Blob. */
export async function chip(face, signal) {
  return (await request("GET", `/v1/faces/${face}/chip`, { signal })).blob();
}

/** A form. fields: pairs of a field's name and a File or a text. */
export function form(fields) {
  const made = new FormData();
  for (const [name, value] of fields) made.append(name, value);
  return made;
}

/** Enrol photos of one person; resolves to what became of each. which: "only" or "largest" face. */
export async function enrol(name, photos, which, insist) {
  const sent = photos.map((photo) => ["photos", photo]);
  const path = `${personPath(name)}/faces`;
  return (await post(path, form([...sent, ["faces", which], ["include_doubtful", insist]]))).results;
}

/** Names that hold a text, 20 at most. */
export async function namesLike(text, signal) {
  const { people } = await get("/v1/people", { search: text, limit: 20 }, signal);
  return people.map((person) => person.name);
}

/** The latest change that can be undone; null if there is none. */
export async function latestChange() {
  return (await get("/v1/changes")).changes[0] ?? null;
}

async function json(method, path, options) {
  const answer = await request(method, path, options);
  return answer.status === 204 ? null : answer.json();
}

async function request(method, path, { body, query, signal }) {
  const target = query ? `${path}?${new URLSearchParams(query)}` : path;
  const headers = { Accept: "application/json" };
  const token = sessionStorage.getItem(KEY);
  if (token !== null) headers.Authorization = `Bearer ${token}`;
  const isForm = body instanceof FormData;
  if (body && !isForm) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(target, {
      method, headers, signal, body: !body || isForm ? body : JSON.stringify(body),
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, "Is facesearch serve still running?");
  }
  if (answer.ok) return answer;
  const problem = await problemOf(answer);
  if (answer.status !== 401) throw problem;
  asking ??= askForToken(token !== null).finally(() => { asking = null; });
  const given = await asking;
  if (given === null) throw new Problem(401, "Reload the page to enter one.");
  sessionStorage.setItem(KEY, given);
  return request(method, path, { body, query, signal });
}

async function problemOf(answer) {
  try {
    const { detail } = await answer.json();
    return new Problem(answer.status, detail ?? "");
  } catch {
    return new Problem(answer.status);
  }
}
