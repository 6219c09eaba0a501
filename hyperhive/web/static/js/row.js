// One agent's row: made once, then touched only where it changed.

import { h, icon, setAttr, setClass, setText, show } from "./dom.js";
import { More } from "./more.js";
import { openMenu } from "./menu.js";
import { standing } from "./standing.js";
import { setWhen, when } from "./time.js";

export class Row {
  constructor(agent, { actions, log }) {
    this.actions = actions;
    this.log = log;
    this.name = agent.name;
    this.agent = agent;
    this.build();
    this.update(agent);
  }

  build() {
    const { name } = this;
    this.glyph = icon("off");
    this.toggle = h("button", { class: "row-open", type: "button", "aria-expanded": "false", "aria-label": `Details of ${name}`, onclick: () => this.open() }, this.glyph);
    this.word = h("span", { class: "state-word" });
    this.since = when(this.agent.since, "for");
    this.state = h("span", { class: "row-state" }, this.word, " ", this.since);
    this.chips = new Map();
    this.error = h("span", { class: "row-error" });
    this.next = when(this.agent.since, "until");
    this.soon = document.createTextNode("");
    this.until = h("span", { class: "row-until" }, this.soon, this.next);
    this.say = h("span", { class: "row-say" }, this.until, this.error);
    this.depth = document.createTextNode("");
    this.inbox = h("span", { class: "row-inbox" }, icon("inbox"), this.depth, h("span", { class: "visually-hidden" }, " in the inbox"));
    this.active = when(this.agent.since);
    this.quick = h("button", { class: "icon-button quick", type: "button", "data-act": "", onclick: () => this.first?.run() });
    const menu = h("button", { class: "icon-button", type: "button", "aria-label": `Actions for ${name}`, "aria-haspopup": "menu", onclick: (event) => openMenu(event.currentTarget, name, this.actions.menu(this.agent)) }, icon("more"));
    this.line = h(
      "div",
      { class: "row", onclick: (event) => this.clicked(event) },
      this.toggle,
      h("span", { class: "row-name" }, h("a", { class: "name", href: `/agents/${encodeURIComponent(name)}`, title: name }, name)),
      this.state,
      this.say,
      this.inbox,
      h("span", { class: "row-when" }, this.active),
      h("span", { class: "row-acts" }, this.quick, menu),
    );
    this.element = h("li", { class: "agent", "data-name": name }, this.line);
  }

  update(agent) {
    if (this.drawn === agent) return;
    this.drawn = agent;
    this.agent = agent;
    const stand = standing(agent);
    this.group = stand.group;
    setAttr(this.element, "data-tone", stand.tone);
    setClass(this.glyph, `glyph i i-${stand.tone} tone-${stand.tone}`);
    setClass(this.state, `row-state tone-${stand.saying}`);
    setText(this.word, stand.state);
    show(this.since, stand.since !== null);
    if (stand.since) setWhen(this.since, stand.since);
    this.setChips(stand.chips);
    this.setUntil(agent);
    setText(this.error, stand.why);
    setAttr(this.error, "title", stand.why || null);
    show(this.inbox, agent.inbox_depth > 0);
    this.depth.data = String(agent.inbox_depth);
    this.inbox.title = `${agent.inbox_depth} in the inbox`;
    if (agent.last_activity) setWhen(this.active, agent.last_activity);
    show(this.active, agent.last_activity !== null);
    this.setQuick(agent);
    this.more?.update(agent);
  }

  setChips(chips) {
    const wanted = new Set(chips.map(([, text]) => text));
    for (const [text, chip] of this.chips) {
      if (wanted.has(text)) continue;
      chip.remove();
      this.chips.delete(text);
    }
    for (const [tone, text] of chips) {
      if (this.chips.has(text)) continue;
      const chip = h("span", { class: `chip tone-${tone} fresh` }, icon(tone), text);
      this.chips.set(text, chip);
      this.say.insertBefore(chip, this.until);
    }
  }

  /** When it goes on by itself. */
  setUntil({ restart_at: restart, transient, turn }) {
    const at = transient === null ? restart ?? turn.until : null;
    show(this.until, at !== null);
    if (at === null) return;
    this.soon.data = restart ? "starts again " : "goes on ";
    setWhen(this.next, at);
  }

  /** The likeliest action beside the menu: start what stopped, resume what rests, write to what runs. */
  setQuick(agent) {
    const [likely] = this.actions.for(agent);
    const write = { key: "message", label: "Message", icon: "message", run: () => this.actions.compose(agent.name) };
    this.first = ["start", "resume"].includes(likely.key) && !agent.transient ? likely : write;
    const label = `${this.first.label} ${agent.name}`;
    if (this.quick.getAttribute("aria-label") === label) return;
    setAttr(this.quick, "aria-label", label);
    this.quick.dataset.tip = this.first.label;
    this.quick.title = this.first.label;
    this.quick.replaceChildren(icon(this.first.icon));
  }

  clicked(event) {
    const selecting = getSelection()?.toString();
    if (event.target.closest("a, button, .row-more") || selecting) return;
    this.toggle.focus({ preventScroll: true });
    this.open();
  }

  /** Open in place, or close. */
  open(wanted = !this.opened) {
    this.opened = wanted;
    setAttr(this.toggle, "aria-expanded", String(wanted));
    this.element.classList.toggle("at", wanted);
    if (wanted && !this.more) {
      this.more = new More(this.agent, { log: this.log, actions: this.actions });
      this.element.append(this.more.element);
    }
    this.more?.show(wanted);
    if (wanted) this.element.scrollIntoView({ block: "nearest" });
  }

  /** Whether someone is at it: then it stays where it is. */
  get held() {
    return this.opened || this.element.matches(":hover, :focus-within");
  }
}
