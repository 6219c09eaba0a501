// An agent's turns, live: what woke it, what it said, which tools it used, how it ended.

import { agentPath } from "./api.js";
import { byId, h, icon, setClass, setText, show } from "./dom.js";
import { systemWords, you } from "./events.js";
import { Follow } from "./scroll.js";
import { Tail } from "./tail.js";
import { toolAnswer, toolName, toolUse, woken } from "./tools.js";
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

  /** Move the focus by `step` turns; without one focused, from the newest. */
  move(step) {
    const turns = [...this.list.children];
    const at = turns.indexOf(document.activeElement?.closest(".turn"));
    const turn = at < 0 ? turns.at(-1) : turns[Math.min(turns.length - 1, Math.max(0, at + step))];
    if (!turn) return false;
    turn.focus({ preventScroll: true });
    turn.scrollIntoView({ block: "start" });
    return true;
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
    this.tools = new Map(); // call → tool
    this.use = h("span", { class: "turn-use" });
    this.items = h("ol", { class: "items" });
    const head = h("div", { class: "turn-head" }, this.glyph, h("h3", {}, `Turn ${turn}`), when(ts), this.use);
    this.element = h("li", { class: "turn", tabIndex: -1 }, head, this.items);
  }

  add(item) {
    if (item.type === "result") this.end(item);
    else this.line(item);
  }

  line(item) {
    if (item.type === "tool_use") this.tools.set(item.data.call, item.data.tool);
    const answer = item.type === "tool_result" ? toolAnswer(this.tools.get(item.data.call), item.text) : null;
    const element = itemLine(answer === null ? item : { ...item, text: answer });
    this.items.append(element);
    if (item.type === "text") this.said = { element, text: item.text.trim() };
  }

  /** The answer is the last that it said; only another one is told again. */
  end(item) {
    const { ok, is_error: wrong } = item.data;
    const failed = ok === false || Boolean(wrong);
    if (!failed && this.said?.text === item.text.trim()) {
      this.said.element.dataset.type = "result";
      setText(this.said.element.querySelector(".item-kind"), KINDS.result);
    } else if (item.text) this.line({ ...item, data: { ...item.data, error: failed } });
    const tone = failed ? "fault" : "fine";
    setClass(this.glyph, `i i-${tone} glyph tone-${tone}`);
    setText(this.use, used(item.data));
  }
}

function used({ input_tokens: read, cache_read_tokens: cached = 0, cache_write_tokens: kept = 0, output_tokens: wrote, cost_usd: cost, duration_ms: ms }) {
  const count = (number) => number.toLocaleString("en").replaceAll(",", "\u202f");
  const parts = [];
  if (ms) parts.push(`${(ms / 1000).toFixed(1)} s`);
  if (read !== undefined) parts.push(`${count(read + cached + kept)} tokens in`);
  if (wrote !== undefined) parts.push(`${count(wrote)} out`);
  if (cost) parts.push(`$${cost.toFixed(4)}`);
  return parts.join(" · ");
}

function itemLine({ type, text, data, ts }) {
  const kind = h("span", { class: "item-kind" }, label(type, data));
  kind.title = new Date(ts).toLocaleString();
  const element = h("li", { class: "item fresh", "data-type": type }, kind, content(type, text, data));
  if (data.error === true) element.dataset.failed = "";
  return element;
}

function label(type, data) {
  if (type === "tool_use" && data.tool) return toolName(data.tool);
  if (type === "tool_result" && data.error === true) return "Failed";
  if (type === "retry" && data.attempt) return `Retry ${data.attempt}`;
  return KINDS[type] ?? type.replaceAll("_", " ");
}

function content(type, text, data) {
  if (type === "tool_use") {
    const { line, whole } = toolUse(data.tool, text);
    return whole || line.length > SHORT ? folded(line.slice(0, SHORT), whole ?? line) : plain(line);
  }
  if (type === "prompt") return prompt(text);
  return type === "tool_result" || type === "thinking" ? result(text) : plain(text);
}

const plain = (text) => h("div", { class: "item-text" }, text || "(empty)");

const folded = (line, whole) => h("details", { class: "item-text" }, h("summary", {}, line), h("div", { class: "item-whole" }, whole));

/** Who wrote what; a prompt of another form stays as it is. */
function prompt(text) {
  const pairs = woken(text);
  if (pairs === null) return plain(text);
  return h("div", { class: "item-text" }, pairs.map(([who, what]) => h(
    "p",
    {},
    who === "system" ? "" : [h("span", { class: "name" }, you(who)), " "],
    who === "system" ? systemWords(what) : what,
  )));
}

/** Long results fold to their first line. */
function result(text) {
  const [first, ...rest] = text.split("\n");
  if (text.length <= SHORT && rest.length < 4) return plain(text);
  const more = rest.length ? `  … ${rest.length} more ${rest.length === 1 ? "line" : "lines"}` : "";
  return folded(`${first.slice(0, SHORT)}${more}`, text);
}
