/** A photo with its faces marked, on a canvas in the photo's own coordinates. */

import { el } from "./dom.js";
import { ANSWERS } from "./words.js";

const LONGEST = 1600; // pixels of a canvas; the photo's own coordinates are scaled to it
const MARKS = {
  match: { colour: "#4be38c", dash: [], lines: 1 },
  ambiguous: { colour: "#ffb04d", dash: [], lines: 2 },
  unknown: { colour: "#ffe05c", dash: [9, 6], lines: 1 },
  unusable: { colour: "#d5dae0", dash: [2, 5], lines: 1 },
};

/** The pixels of a file, upright; null if the browser cannot show it. */
export async function decode(file) {
  try {
    return await createImageBitmap(file, { imageOrientation: "from-image" });
  } catch {
    return null;
  }
}

/** A canvas for a picture of width by height pixels. */
export function canvasFor(width, height, props = {}) {
  const scale = Math.min(1, LONGEST / Math.max(width, height));
  return el("canvas", {
    ...props, width: String(Math.round(width * scale)), height: String(Math.round(height * scale)),
  });
}

/**
 * Draw a picture and its faces. picture: an ImageBitmap, or null for the marks alone.
 * label: what is written at a face, in full and where there is no room. chosen: the face that
 * stands out.
 */
export function draw(canvas, picture, { width, height, faces }, label, chosen = null) {
  const context = canvas.getContext("2d");
  context.setTransform(canvas.width / width, 0, 0, canvas.height / height, 0, 0);
  context.clearRect(0, 0, width, height);
  if (picture) context.drawImage(picture, 0, 0, width, height);
  // a pixel of the screen in the photo's pixels, so that lines and letters keep their size
  const pixel = width / (canvas.clientWidth || canvas.width);
  const marked = faces.filter((face) => face.box);
  for (const face of marked) outline(context, face, pixel, face === chosen);
  const taken = [];
  for (const face of marked) caption(context, face, label(face), pixel, { width, height }, taken);
}

function outline(context, { box, answer }, pixel, strong) {
  const { colour, dash, lines } = MARKS[answer];
  const [left, top, right, bottom] = box;
  const thick = (strong ? 4 : 2.5) * pixel;
  for (let line = 0; line < lines; line++) {
    const out = line * 3 * thick;
    const rim = [left - out, top - out, right - left + 2 * out, bottom - top + 2 * out];
    context.setLineDash([]);
    context.lineWidth = thick + 2 * pixel;
    context.strokeStyle = "rgb(0 0 0 / 55%)";
    context.strokeRect(...rim);
    context.setLineDash(dash.map((length) => length * pixel));
    context.lineWidth = thick;
    context.strokeStyle = colour;
    context.strokeRect(...rim);
  }
  context.setLineDash([]);
}

/** Written where it covers no other: below the face or above it, else only the sign and number. */
function caption(context, { box, answer }, [text, short], pixel, { width, height }, taken) {
  const [left, top, right, bottom] = box;
  const size = 14 * pixel;
  const pad = 5 * pixel;
  const high = size + 1.6 * pad;
  context.font = `600 ${size}px system-ui, sans-serif`;
  const places = [text, short].flatMap((words) => {
    const written = `${ANSWERS[answer].sign} ${words}`;
    const wide = Math.min(context.measureText(written).width + 2 * pad, width);
    const x = Math.max(0, Math.min((left + right - wide) / 2, width - wide));
    return [bottom + 4 * pixel, top - high - 4 * pixel].map((y) => (
      { written, x, y: Math.max(0, Math.min(y, height - high)), wide, high }));
  });
  const place = places.find((one) => !taken.some((other) => overlap(one, other))) ?? places[2];
  taken.push(place);
  context.fillStyle = "rgb(16 20 24 / 86%)";
  context.beginPath();
  context.roundRect(place.x, place.y, place.wide, high, 4 * pixel);
  context.fill();
  context.fillStyle = MARKS[answer].colour;
  context.textBaseline = "middle";
  context.fillText(place.written, place.x + pad, place.y + high / 2, place.wide - 2 * pad);
}

function overlap(one, other) {
  return one.x < other.x + other.wide && other.x < one.x + one.wide
    && one.y < other.y + other.high && other.y < one.y + one.high;
}

/** A square cut-out around a box, as a canvas of `size` pixels. room: beside the box, its shares. */
export function cutOut(picture, box, size, room = 0.25) {
  const canvas = el("canvas", { class: "chip", width: String(size), height: String(size) });
  if (!picture) return canvas;
  const [left, top, right, bottom] = box;
  const side = Math.max(right - left, bottom - top) * (1 + 2 * room);
  const x = (left + right - side) / 2;
  const y = (top + bottom - side) / 2;
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(picture, x, y, side, side, 0, 0, size, size);
  return canvas;
}

/** A face with what is around it, as a photo of its own, so that no other face is meant. */
export async function surroundings(picture, { face, box }, photo) {
  if (!picture) return photo;
  const [left, top, right, bottom] = box;
  const room = 0.5 * Math.max(right - left, bottom - top);
  const x = Math.max(0, left - room);
  const y = Math.max(0, top - room);
  const wide = Math.min(picture.width, right + room) - x;
  const high = Math.min(picture.height, bottom + room) - y;
  const canvas = canvasFor(wide, high);
  canvas.getContext("2d").drawImage(picture, x, y, wide, high, 0, 0, canvas.width, canvas.height);
  const name = `${photo.name.replace(/\.[^.]*$/, "")}, face ${face + 1}.png`;
  return new File([await new Promise((resolve) => { canvas.toBlob(resolve); })], name, { type: "image/png" });
}

/** The face at a place of the canvas where a pointer is, or undefined. */
export function faceAt(canvas, { width, height, faces }, event) {
  const x = (event.offsetX / canvas.clientWidth) * width;
  const y = (event.offsetY / canvas.clientHeight) * height;
  return faces.find(({ box }) => box && x >= box[0] && x <= box[2] && y >= box[1] && y <= box[3]);
}
