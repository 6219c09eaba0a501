// Characters that do not show, or that turn the order of those around them: what one approves must be what one reads.

// Controls and formats (bidi overrides, zero widths, tags), what no font has, blanks that are letters, variations.
const ODD = /[^\P{C}\t\n]|[\p{Zl}\p{Zp}\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u2800\u3164\ufe00-\ufe0f\uffa0\u{e0100}-\u{e01ef}]/u;
const EACH = new RegExp(ODD.source, "gu");

/** `text` in pieces to append: strings, and for every odd character a mark with its number. */
export function seen(text) {
  if (!ODD.test(text)) return [text];
  const pieces = [];
  let from = 0;
  for (const { 0: char, index } of text.matchAll(EACH)) {
    pieces.push(text.slice(from, index), mark(char));
    from = index + char.length;
  }
  pieces.push(text.slice(from));
  return pieces.filter((piece) => piece !== "");
}

function mark(char) {
  const element = document.createElement("span");
  element.className = "odd";
  element.title = "A character that does not show by itself";
  element.textContent = `U+${char.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`;
  return element;
}
