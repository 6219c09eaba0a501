// The frame of a card: glyph, head, text, and a side for actions.

import { h, icon, setText } from "./dom.js";
import { setWhen, when } from "./time.js";

const KINDS = {
  trouble: "Host trouble",
  quarantine: "Quarantined",
  approval: "Approval",
  question: "Question",
  build: "Build failed",
  login: "Needs login",
};

/** The frame: glyph, head, text, and a side for actions. */
export class Card {
  constructor(item, { actions, store }) {
    this.actions = actions;
    this.store = store;
    this.item = item;
    this.text = h("p", { class: "card-text" });
    this.since = item.since ? when(item.since) : null;
    const name = item.agent && store.agents.has(item.agent)
      ? h("a", { class: "name", href: `/agents/${encodeURIComponent(item.agent)}` }, item.agent)
      : item.agent && h("span", { class: "name" }, item.agent);
    this.head = h("h3", { class: "card-head" }, h("span", { class: "card-kind" }, KINDS[item.kind]), name, this.since);
    this.body = h("div", { class: "card-body" }, this.head, this.text);
    this.side = h("div", { class: "card-side" });
    this.element = h(
      "li",
      { class: `card tone-${item.tone} fresh`, "data-kind": item.kind, tabIndex: -1 },
      icon(item.tone, "glyph"),
      this.body,
    );
    this.build(item);
    if (this.side.childElementCount) this.element.append(this.side);
    this.update(item);
  }

  /** Whether the text may be cut on the screen. */
  get clamps() {
    return ["build", "quarantine"].includes(this.item.kind);
  }

  build() {}

  update(item) {
    this.item = item;
    if (this.since) setWhen(this.since, item.since);
    setText(this.text, this.words(item));
    this.text.title = this.clamps ? this.text.textContent : "";
  }

  words(item) {
    return item.text ?? "";
  }

  operation(key, words) {
    const { label, icon: sign, run } = this.actions.operation(key, this.item.agent);
    return h("button", { class: "button", type: "button", "data-act": "", onclick: run }, icon(sign), words ?? label);
  }
}
