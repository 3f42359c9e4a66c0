/** The model's card: as much Markdown as cards use, made into elements. */

import { table } from "./charts.js";
import { el } from "./dom.js";

/** Elements for a text. level: of its first headings. */
export function markdown(text, level = 2) {
  const blocks = text.replace(/\r/g, "").split(/\n{2,}/).map((block) => block.trim()).filter(Boolean);
  let above = "Table";
  let tables = 0; // under this heading
  return blocks.map((block) => {
    const lines = block.split("\n");
    const heading = /^(#+)\s+(.*)$/.exec(block);
    if (heading) {
      above = heading[2];
      tables = 0;
      return el(`h${Math.min(6, heading[1].length + level - 1)}`, {}, ...spans(heading[2]));
    }
    if (lines.length > 1 && lines.every((line) => line.startsWith("|"))) {
      const [head, , ...rows] = lines.map((line) => line.slice(1, -1).split("|").map((cell) => spans(cell.trim())));
      tables += 1;
      return table(tables > 1 ? `${above}, table ${tables}` : above, head, rows);
    }
    if (lines[0].startsWith("- ")) {
      return el("ul", {}, ...block.slice(2).split(/\n- /).map((item) => el("li", {}, ...spans(item))));
    }
    return el("p", {}, ...spans(block));
  });
}

function spans(text) {
  return text.split(/(\*\*[^*]+\*\*|\*[^*]+\*|`[^`]+`)/).filter(Boolean).map((part) => {
    if (part.startsWith("**")) return el("strong", {}, part.slice(2, -2));
    if (part.startsWith("*") && part.length > 2) return el("em", {}, part.slice(1, -1));
    if (part.startsWith("`") && part.length > 2) return el("code", {}, part.slice(1, -1));
    return part;
  });
}
