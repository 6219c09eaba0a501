// A diff to read: what it is compared with, files that fold, lines with numbers.

import { ask } from "./api.js";
import { h, icon, setAttr, setText, show } from "./dom.js";
import { chunks, digits, lineCount } from "./difflines.js";

const AGAINST = { running: "What runs", proposal: "The last proposal", approved: "What was approved last" };
const AT_ONCE = 600; // lines built before the first paint; the rest follows in pieces
const PIECE = 8; // chunks between two breaths
const LONG_FILE = 1500; // lines beyond which a file begins folded
const CHANGES = { added: "added", removed: "removed", modified: "changed", renamed: "renamed" };

const number = (count) => count.toLocaleString("en").replaceAll(",", " ");
export const plural = (count, one, many = `${one}s`) => `${number(count)} ${count === 1 ? one : many}`;

/** "+12 −4", each with its own colour and sign. */
export const sizes = (added, removed) => [
  added || !removed ? h("span", { class: "plus" }, `+${number(added)}`) : null,
  added && removed ? " " : null,
  removed ? h("span", { class: "minus" }, `−${number(removed)}`) : null,
].filter(Boolean);

export class DiffView {
  /** @param id the approval's; against: what it can be compared with, `running` first. */
  constructor({ id, label, against = ["running"] }) {
    this.id = id;
    this.against = "running";
    this.note = h("p", { class: "diff-note", role: "status" });
    this.stale = h("p", { class: "diff-stale", hidden: true }, icon("attention", "tone-attention"), h("span", {}, "What runs has changed since this was read."), h("button", { class: "button", type: "button", onclick: () => this.load() }, "Read it again"));
    this.files = h("div", { class: "diff-files", tabIndex: 0, role: "region", "aria-label": label });
    this.switch = h("div", { class: "diff-against", role: "group", "aria-label": "Compared with" });
    this.fold = h("button", { class: "button button-quiet", type: "button", hidden: true, onclick: () => this.foldAll() });
    this.element = h("div", { class: "diff" }, h("div", { class: "diff-tools" }, this.switch, this.note, h("span", { class: "grow" }), this.fold), this.stale, this.files);
    this.files.addEventListener("toggle", () => this.folded(), true);
    this.offer(against);
  }

  /** What it can be compared with; one alone needs no switch. */
  offer(against) {
    this.buttons = new Map(against.map((key) => [key, h("button", { class: "segment", type: "button", onclick: () => this.choose(key) }, AGAINST[key])]));
    this.switch.replaceChildren(h("span", { class: "quiet" }, "Against"), ...this.buttons.values());
    show(this.switch, against.length > 1);
    this.press();
  }

  press() {
    for (const [key, button] of this.buttons) setAttr(button, "aria-pressed", String(key === this.against));
  }

  choose(key) {
    if (key === this.against) return;
    this.against = key;
    this.press();
    this.load();
  }

  /** What runs is another commit than the diff was made against. */
  outdated(commit) {
    this.runs = commit;
    this.readAt ??= commit;
    show(this.stale, Boolean(this.against === "running" && this.diff && commit !== this.readAt));
  }

  async load() {
    const { against, runs } = this;
    this.token = {};
    const mine = this.token;
    setText(this.note, this.diff ? "Loading" : "Loading the diff");
    let diff;
    try {
      diff = await ask("GET", `/api/approvals/${this.id}/diff?format=json&against=${against}`);
    } catch (error) {
      if (mine === this.token) this.failed(error.message);
      return;
    }
    if (mine !== this.token) return;
    this.diff = diff;
    this.readAt = runs;
    show(this.stale, false);
    await this.draw(diff, mine);
  }

  failed(reason) {
    setText(this.note, "");
    this.files.replaceChildren(h("p", { class: "field-error", role: "alert" }, icon("fault"), h("span", {}, reason)), h("button", { class: "button", type: "button", onclick: () => this.load() }, "Try again"));
  }

  async draw(diff, mine) {
    const { files, cut } = diff;
    const sum = [files.reduce((all, one) => all + one.added, 0), files.reduce((all, one) => all + one.removed, 0)];
    const base = diff.base ? h("code", { title: diff.base }, diff.base.slice(0, 7)) : "nothing, all of it is new";
    this.note.replaceChildren(...(this.buttons.size > 1 ? [] : ["Against "]), base, " · ", plural(files.length, "file"), " ", ...sizes(...sum));
    const work = files.map((file) => fileElement(file));
    this.files.replaceChildren(...work.map(({ element }) => element));
    if (files.length === 0) this.files.append(h("p", { class: "quiet" }, "Nothing differs."));
    if (cut) this.files.append(h("p", { class: "diff-cut" }, `${plural(cut, "more line")}: `, h("code", {}, this.command())));
    this.files.scrollTop = 0;
    this.folded();
    await this.fill(work, mine);
  }

  command() {
    return `hyperhive diff ${this.id}${this.against === "running" ? "" : ` --against ${this.against}`}`;
  }

  /** Build the lines: what shows first at once, the rest in pieces between which the page answers. */
  async fill(work, mine) {
    let built = 0;
    let pieces = 0;
    for (const { body, file } of work) {
      body.style.setProperty("--digits", digits(file));
      for (const chunk of chunks(file)) {
        body.append(chunk);
        built += chunk.childElementCount;
        pieces += 1;
        if (built < AT_ONCE || pieces % PIECE) continue;
        await breath();
        if (mine !== this.token) return;
      }
    }
    this.element.dataset.whole = "";
  }

  folded() {
    const all = [...this.files.querySelectorAll(":scope > details")];
    show(this.fold, all.length > 1);
    setText(this.fold, all.some((one) => one.open) ? "Fold all files" : "Unfold all files");
  }

  foldAll() {
    const all = [...this.files.querySelectorAll(":scope > details")];
    const open = !all.some((one) => one.open);
    for (const one of all) one.open = open;
  }
}

const breath = () => new Promise((resolve) => setTimeout(resolve));

function fileElement(file) {
  const body = h("div", { class: "lines" });
  const slash = file.path.lastIndexOf("/") + 1;
  const path = h("span", { class: "file-path" }, file.old_path && file.old_path !== file.path ? [h("span", { class: "file-old" }, file.old_path), " → "] : null, h("span", { class: "file-folder" }, file.path.slice(0, slash)), h("b", {}, file.path.slice(slash)));
  const head = h("summary", {}, path, h("span", { class: `file-change change-${file.change}` }, CHANGES[file.change] ?? file.change), h("span", { class: "file-size" }, file.binary ? "binary" : sizes(file.added, file.removed)));
  const element = h("details", { class: "file", open: lineCount(file) <= LONG_FILE }, head, body);
  const without = nothingToShow(file);
  if (without) body.append(h("p", { class: "file-note" }, without));
  return { element, body, file };
}

function nothingToShow({ binary, change, hunks }) {
  if (binary) return "A binary file: its content is not shown.";
  if (hunks.length) return null;
  return change === "renamed" ? "Moved without a change in its lines." : "Nothing in its lines: an empty file, or only its mode changed.";
}
