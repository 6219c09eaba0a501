// An agent's turns, live: what woke it, what it said, which tools it used, how it ended.

import { agentPath } from "./api.js";
import { byId, h, icon, setClass, setText, show } from "./dom.js";
import { Follow } from "./scroll.js";
import { Tail } from "./tail.js";
import { when } from "./time.js";

const KEPT = 60; // turns on the page
const SHORT = 240;
const KINDS = {
  prompt: "Woken by",
  text: "Says",
  thinking: "Thinks",
  tool_use: "Uses",
  tool_result: "Result",
  retry: "Retries",
  trouble: "Trouble",
  compact: "Compacts",
  result: "Answer",
  elided: "Left out",
};

export class Turns {
  constructor(name) {
    this.list = byId("turn-list");
    this.follow = new Follow(byId("turns-scroll"), byId("turns-new"));
    this.turns = new Map();
    this.last = 0;
    this.tail = new Tail({
      path: () => agentPath(name, `/turns?follow=1&after=${this.last}`),
      onFrame: ({ data }) => this.add(JSON.parse(data)),
    });
  }

  open() {
    this.tail.run();
    this.follow.grew();
  }

  add(item) {
    if (item.id <= this.last) return;
    this.last = item.id;
    let turn = this.turns.get(item.turn);
    if (!turn) {
      turn = new Turn(item);
      this.turns.set(item.turn, turn);
      this.list.append(turn.element);
      this.trim();
    }
    turn.add(item);
    show(byId("turn-none"), false);
    this.follow.grew();
  }

  trim() {
    if (!this.follow.following) return;
    for (const [number, turn] of this.turns) {
      if (this.turns.size <= KEPT) return;
      turn.element.remove();
      this.turns.delete(number);
    }
  }
}

class Turn {
  constructor({ turn, ts }) {
    this.glyph = icon("working", "glyph tone-working");
    this.use = h("span", { class: "turn-use" });
    this.items = h("ol", { class: "items" });
    const head = h("div", { class: "turn-head" }, this.glyph, h("h3", {}, `Turn ${turn}`), when(ts), this.use);
    this.element = h("li", { class: "turn" }, head, this.items);
  }

  add(item) {
    this.items.append(itemLine(item));
    if (item.type !== "result") return;
    const failed = Boolean(item.data.is_error || item.data.failed);
    const tone = failed ? "fault" : "fine";
    setClass(this.glyph, `i i-${tone} glyph tone-${tone}`);
    setText(this.use, used(item.data));
  }
}

function used({ input_tokens: read, output_tokens: wrote, cost_usd: cost, duration_ms: ms }) {
  const count = (number) => number.toLocaleString("en").replaceAll(",", " ");
  const parts = [];
  if (ms) parts.push(`${(ms / 1000).toFixed(1)} s`);
  if (read !== undefined) parts.push(`${count(read)} tokens in`);
  if (wrote !== undefined) parts.push(`${count(wrote)} out`);
  if (cost) parts.push(`$${cost.toFixed(4)}`);
  return parts.join(" · ");
}

function itemLine({ type, text, data, ts }) {
  const kind = h("span", { class: "item-kind" }, label(type, data));
  kind.title = new Date(ts).toLocaleString();
  const element = h("li", { class: "item fresh", "data-type": type }, kind, content(type, text));
  if (data.is_error) element.dataset.failed = "";
  return element;
}

function label(type, data) {
  if (type === "tool_use" && data.name) return String(data.name).replace(/^mcp__hyperhive__/, "");
  if (type === "retry" && data.attempt) return `Retry ${data.attempt}`;
  return KINDS[type] ?? type.replaceAll("_", " ");
}

/** Long results fold to their first line. */
function content(type, text) {
  const folds = type === "tool_result" || type === "thinking" || type === "tool_use";
  const [first, ...rest] = text.split("\n");
  if (!folds || (text.length <= SHORT && rest.length < 4)) return h("div", { class: "item-text" }, text || "(empty)");
  const lines = rest.length ? `${first.slice(0, SHORT)}  … ${rest.length} more ${rest.length === 1 ? "line" : "lines"}` : first.slice(0, SHORT);
  return h("details", { class: "item-text" }, h("summary", {}, lines), h("div", {}, text));
}
