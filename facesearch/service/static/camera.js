/** The camera: a frame at a time, the next when the answer to the last is there. */

import { form, post } from "./api.js";
import { button, el, say, trouble } from "./dom.js";
import { canvasFor, draw } from "./picture.js";
import { summary, whom } from "./words.js";

const WIDEST = 960; // pixels of a frame that is sent
const PAUSE = 100; // ms between an answer and the next frame, at least

/**
 * Show the camera in `stage` until it is stopped or `signal` aborts. keep: called with an array of
 * one file when the user keeps a frame. opener: the button that gets the focus back.
 */
export async function live(stage, signal, keep, opener) {
  const watching = new AbortController();
  let stream;
  try {
    if (!navigator.mediaDevices) throw new Error("Browsers give the camera only to https and to this machine.");
    stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1280 } }, audio: false });
  } catch (error) {
    stage.replaceChildren(trouble({ title: "The camera cannot be used", detail: inWords(error) }));
    return;
  }
  const stop = () => {
    watching.abort();
    for (const track of stream.getTracks()) track.stop();
    stage.replaceChildren();
    opener.hidden = false;
    opener.focus();
  };
  if (signal.aborted) return void stop();
  signal.addEventListener("abort", stop, { signal: watching.signal });

  const video = el("video", { muted: true, playsinline: true, autoplay: true, "aria-label": "Camera" });
  video.srcObject = stream;
  const told = el("p", { class: "summary" }, "Waiting for the camera …");
  const over = el("div", { class: "live" }, video);
  let last = null;
  const keeping = button("Keep this picture", () => last && keep([last]), { disabled: true });
  stage.replaceChildren(
    el("section", { class: "card", "aria-label": "Camera" }, over, told,
      el("div", { class: "row" }, keeping, button("Stop the camera", stop, { class: "stop" }))));
  opener.hidden = true;
  stage.querySelector(".stop").focus();

  await new Promise((resolve) => {
    if (video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA) resolve();
    else video.addEventListener("loadeddata", resolve, { once: true });
    watching.signal.addEventListener("abort", resolve);
  });
  const share = Math.min(1, WIDEST / video.videoWidth);
  const [width, height] = [video.videoWidth, video.videoHeight].map((side) => Math.round(side * share));
  const frame = canvasFor(width, height);
  const marks = canvasFor(width, height, { "aria-hidden": "true" });
  over.append(marks);
  let before = "";
  while (!watching.signal.aborted) {
    if (document.hidden) {
      await new Promise((resolve) => { document.addEventListener("visibilitychange", resolve, { once: true }); });
      continue;
    }
    frame.getContext("2d").drawImage(video, 0, 0, frame.width, frame.height);
    const file = new File([await encoded(frame)], `camera ${clock()}.jpg`, { type: "image/jpeg" });
    try {
      const answer = await post("/v1/identify", form([["photo", file]]), { top: 2 }, watching.signal);
      last = file;
      keeping.disabled = false;
      draw(marks, null, answer, (face) => [whom(face), ""]);
      told.textContent = summary(answer.faces);
      const now = answer.faces.filter((face) => face.box).map(whom).join(", ");
      if (now !== before) say(now || "No face in view");
      before = now;
    } catch (error) {
      if (watching.signal.aborted) return;
      told.replaceChildren(trouble(error));
      if (error.status && error.status < 500 && error.status !== 429) return;
      await pause(2000);
    }
    await pause(PAUSE);
  }
}

function encoded(canvas) {
  return new Promise((resolve) => { canvas.toBlob(resolve, "image/jpeg", 0.85); });
}

function pause(duration) {
  return new Promise((resolve) => { setTimeout(resolve, duration); });
}

function clock() {
  return new Date().toTimeString().slice(0, 8).replaceAll(":", "-");
}

function inWords(error) {
  switch (error.name) {
    case "NotAllowedError": return "It was not allowed. The browser asks again when its permission for this page is reset.";
    case "NotFoundError": return "There is no camera on this machine.";
    case "NotReadableError": return "Another program is using it.";
    default: return error.message;
  }
}
