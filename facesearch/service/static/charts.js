/** Charts as SVG: lines and areas on linear or logarithmic axes, with words for screen readers. */

import { el, svg } from "./dom.js";

const ROOM = { left: 52, right: 12, top: 22, bottom: 44 };
const DASHES = ["", "7 4", "2 3", "9 3 2 3"];

/**
 * A figure with a chart that fills its width.
 * title, words: what it is, and what it says. x, y: {title, from, to, log, ticks, format}.
 * series: [{name, points: [[x, y]], area}], points ascending in x. marks: vertical lines,
 * [{name, x, strong}].
 */
export function chart({ title, words, x, y, series, marks = [] }) {
  const holder = el("div", { class: "plot" });
  let width = 0;
  new ResizeObserver(() => requestAnimationFrame(() => {
    if (width === holder.clientWidth || !holder.clientWidth) return;
    width = holder.clientWidth;
    holder.replaceChildren(drawn(width, Math.round(Math.min(340, Math.max(220, width * 0.55)))));
  })).observe(holder);

  function drawn(width, height) {
    const across = scale(x, ROOM.left, width - ROOM.right);
    const up = scale(y, height - ROOM.bottom, ROOM.top);
    const image = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": `${title}. ${words}` });
    image.append(
      ...x.ticks.map((tick) => svg("g", {},
        svg("line", { class: "rule", x1: across(tick), x2: across(tick), y1: ROOM.top, y2: height - ROOM.bottom }),
        svg("text", { x: across(tick), y: height - ROOM.bottom + 16, "text-anchor": "middle" }, x.format(tick)))),
      ...y.ticks.map((tick) => svg("g", {},
        svg("line", { class: "rule", x1: ROOM.left, x2: width - ROOM.right, y1: up(tick), y2: up(tick) }),
        svg("text", { x: ROOM.left - 7, y: up(tick) + 4, "text-anchor": "end" }, y.format(tick)))),
      svg("text", { class: "axis", x: (ROOM.left + width) / 2, y: height - 6, "text-anchor": "middle" }, x.title),
      svg("text", { class: "axis", x: 2, y: 12 }, y.title),
      ...series.map(({ points, area }, number) => svg("path", {
        class: `series series-${number}${area ? " area" : ""}`, "stroke-dasharray": DASHES[number] || null,
        d: path(points, across, up, area ? up(y.from) : null),
      })),
      ...marks.map((mark, number) => {
        const at = across(mark.x);
        const left = at > width * 0.6;
        return svg("g", { class: mark.strong ? "mark strong" : "mark" },
          svg("line", { x1: at, x2: at, y1: ROOM.top, y2: height - ROOM.bottom }),
          svg("text", { x: left ? at - 6 : at + 6, y: ROOM.top + 12 + 17 * number, "text-anchor": left ? "end" : "start" }, mark.name));
      }),
    );
    return image;
  }

  return el("figure", { class: "chart" },
    el("figcaption", {}, el("strong", {}, title), legend(series)), holder);
}

function legend(series) {
  return el("ul", { class: "legend", "aria-hidden": "true" }, ...series.map(({ name, area }, number) => {
    const sample = svg("svg", { width: 30, height: 12 }, svg("path", {
      class: `series series-${number}${area ? " area" : ""}`, "stroke-dasharray": DASHES[number] || null,
      d: area ? "M1 11V3H29V11" : "M1 6H29",
    }));
    return el("li", {}, sample, name);
  }));
}

function path(points, across, up, floor) {
  const line = points.map(([a, b]) => `${across(a).toFixed(1)} ${up(b).toFixed(1)}`).join("L");
  if (floor === null) return `M${line}`;
  return `M${across(points[0][0]).toFixed(1)} ${floor}L${line}L${across(points.at(-1)[0]).toFixed(1)} ${floor}Z`;
}

function scale({ from, to, log = false }, start, end) {
  const measure = log ? Math.log10 : (value) => value;
  const low = measure(from);
  const high = measure(to);
  return (value) => {
    const clamped = Math.min(to, Math.max(from, value));
    return start + ((measure(clamped) - low) / (high - low)) * (end - start);
  };
}

/** Powers of ten between two. */
export function decades(from, to) {
  const ticks = [];
  for (let power = Math.ceil(Math.log10(from) - 1e-9); power <= Math.log10(to) + 1e-9; power++) ticks.push(10 ** power);
  return ticks;
}

/** A table; head: of the columns, rows: of texts or elements. */
export function table(caption, head, rows) {
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    el("table", {},
      el("caption", {}, caption),
      el("thead", {}, el("tr", {}, ...head.map((cell) => (cell.length ? el("th", { scope: "col" }, cell) : el("td", {}))))),
      el("tbody", {}, ...rows.map(([first, ...rest]) => el("tr", {}, el("th", { scope: "row" }, first),
        ...rest.map((cell) => el("td", {}, cell)))))));
}
