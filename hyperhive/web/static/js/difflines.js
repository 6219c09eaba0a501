// The lines of a diff: one element each, in chunks that are laid out only where one looks (diff.css), so that
// thousands stay smooth and the browser's own search finds all of them.

import { h } from "./dom.js";
import { seen } from "./odd.js";

const CHUNK = 100;
const LINE = 18; // pixels, as in diff.css
const CLASSES = { context: "l", added: "l l-add", removed: "l l-del" };
const LONGEST_EMPHASIS = 500;

/** How many lines a file has. */
export const lineCount = (file) => file.hunks.reduce((sum, { lines }) => sum + lines.length, 0);

/** The chunks of a file one by one, each an element, each as soon as it is asked for. */
export function* chunks(file) {
  const width = digits(file);
  for (const [at, { header, lines }] of file.hunks.entries()) {
    const marks = emphasis(lines);
    for (let from = 0; from < lines.length; from += CHUNK) {
      const some = lines.slice(from, from + CHUNK);
      const chunk = h("div", { class: "chunk" });
      const title = from === 0 && (header || at > 0);
      if (title) chunk.append(h("div", { class: "hunk" }, header ? seen(header) : "…"));
      chunk.append(...some.map((line, n) => lineElement(line, width, marks.get(from + n))));
      chunk.style.containIntrinsicBlockSize = `auto ${some.length * LINE + (title ? LINE + 8 : 0)}px`;
      yield chunk;
    }
  }
}

/** How many digits its highest line number has. */
export function digits({ hunks }) {
  const highest = (lines) => lines.reduce((most, line) => Math.max(most, line.old ?? 0, line.new ?? 0), 1);
  return String(Math.max(1, ...hunks.map(({ lines }) => highest(lines)))).length;
}

/** Numbers and sign are drawn by the style sheet: what one copies is the text alone. */
function lineElement(line, width, mark) {
  const element = document.createElement("div");
  element.className = CLASSES[line.kind];
  element.dataset.o = String(line.old ?? "").padStart(width);
  element.dataset.n = String(line.new ?? "").padStart(width);
  if (mark) {
    const [from, to] = mark;
    const part = document.createElement("b");
    part.append(...seen(line.text.slice(from, to)));
    element.append(...seen(line.text.slice(0, from)), part, ...seen(line.text.slice(to)));
  } else element.append(...seen(line.text));
  if (line.more) element.append(h("i", {}, ` … ${line.more} more characters`));
  if (line.no_newline) element.append(h("i", {}, " no newline at the end"));
  return element;
}

/** For a line that was replaced by one much like it: where the two differ. Index of the line → [from, to]. */
function emphasis(lines) {
  const marks = new Map();
  let at = 0;
  while (at < lines.length) {
    const gone = run(lines, at, "removed");
    const come = run(lines, at + gone, "added");
    for (let n = at; n < at + Math.min(gone, come); n++) mark(marks, lines, n, n + gone);
    at += Math.max(1, gone + come);
  }
  return marks;
}

function run(lines, from, kind) {
  let to = from;
  while (to < lines.length && lines[to].kind === kind) to += 1;
  return to - from;
}

function mark(marks, lines, one, other) {
  const [before, after] = [lines[one].text, lines[other].text];
  const shorter = Math.min(before.length, after.length);
  if (shorter === 0 || Math.max(before.length, after.length) > LONGEST_EMPHASIS) return;
  let head = 0;
  while (head < shorter && before[head] === after[head]) head += 1;
  let tail = 0;
  while (tail < shorter - head && before.at(-1 - tail) === after.at(-1 - tail)) tail += 1;
  if (head + tail < shorter / 3) return;
  if (before.length > head + tail) marks.set(one, [head, before.length - tail]);
  if (after.length > head + tail) marks.set(other, [head, after.length - tail]);
}
