// Ctrl-K: everything by name. Agents, what can be done to them, places, settings.

import { h, icon, setAttr } from "./dom.js";
import { revive } from "./kept.js";
import { standing } from "./standing.js";
import { byName } from "./store.js";
import { setTheme, themes } from "./theme.js";

const MOST = 60;

export class Palette {
  constructor({ store, actions, dialogs, bell, places }) {
    this.bell = bell;
    this.store = store;
    this.actions = actions;
    this.dialogs = dialogs;
    this.places = places;
  }

  open() {
    if (document.querySelector("dialog[open]")) return;
    this.input = h("input", { type: "text", role: "combobox", "aria-expanded": "true", "aria-controls": "palette-list", "aria-autocomplete": "list", "aria-label": "Go to or do", placeholder: "Agent, action or place", autocomplete: "off", spellcheck: false });
    this.list = h("div", { class: "palette-list", id: "palette-list", role: "listbox", "aria-label": "Matches" });
    this.none = h("p", { class: "palette-none quiet", role: "status" });
    this.dialog = h("dialog", { class: "palette", "aria-label": "Go to or do anything by name" }, h("div", { class: "palette-field" }, icon("search"), this.input, h("kbd", {}, "Esc")), this.list, this.none);
    this.dialog.addEventListener("close", () => this.dialog.remove());
    this.dialog.addEventListener("click", (event) => event.target === this.dialog && this.dialog.close());
    this.input.addEventListener("input", () => this.draw());
    this.input.addEventListener("keydown", (event) => this.key(event));
    document.body.append(this.dialog);
    this.dialog.showModal();
    this.input.focus();
    this.draw();
  }

  /** All there is: {what, why, sign, run, off?} */
  all() {
    const agents = [...this.store.agents.values()].sort(byName);
    const off = this.actions.reason();
    return [
      ...agents.map((agent) => {
        const { tone, state } = standing(agent);
        return { what: agent.name, why: state, sign: icon(tone, `tone-${tone}`), run: () => location.assign(`/agents/${encodeURIComponent(agent.name)}`) };
      }),
      { what: "Spawn agent", why: off ?? "", sign: icon("plus"), off, run: () => this.dialogs.spawn() },
      { what: "New draft", why: off ?? "", sign: icon("plus"), off, run: () => this.dialogs.draft() },
      ...this.places,
      this.notices(),
      ...themes.map(([key, label]) => ({ what: `Theme: ${label.toLowerCase()}`, why: "", sign: icon("theme"), run: () => setTheme(key) })),
      ...agents.flatMap((agent) => [
        ...this.actions.for(agent).map((one) => ({ what: `${one.label} ${agent.name}`, why: one.reason ?? "", sign: icon(one.icon), off: one.reason, run: one.run })),
        { what: `Message ${agent.name}`, why: "", sign: icon("message"), run: () => this.actions.compose(agent.name) },
        agent.role === "manager" ? null : { what: `Destroy ${agent.name}`, why: off ?? "asks for its name", sign: icon("destroy"), off, run: () => this.dialogs.destroy(agent.name) },
      ]),
      ...this.store.drafts.map((one) => ({ what: `Discard ${one.name}`, why: off ?? "a draft; asks for its name", sign: icon("destroy"), off, run: () => this.dialogs.discard(one) })),
      ...this.store.kept.flatMap(({ name }) => [
        { what: `Revive ${name}`, why: off ?? "kept", sign: icon("play"), off, run: () => revive(this.actions, name) },
        { what: `Purge ${name}`, why: off ?? "asks for its name", sign: icon("destroy"), off, run: () => this.dialogs.purge(name) },
      ]),
    ].filter(Boolean);
  }

  notices() {
    const { label, icon: sign, reason, run } = this.bell.entry();
    return { what: label, why: reason ?? "", sign: icon(sign), off: reason, run };
  }

  draw() {
    const query = this.input.value.trim().toLowerCase();
    const scored = this.all().map((one, at) => ({ ...one, at, found: fit(query, one.what) })).filter(({ found }) => found);
    scored.sort((one, other) => other.found.score - one.found.score || one.at - other.at);
    this.shown = scored.slice(0, MOST);
    this.list.replaceChildren(...this.shown.map((one, at) => this.option(one, at)));
    this.none.textContent = this.shown.length ? "" : `Nothing is called “${this.input.value.trim()}”.`;
    this.none.hidden = this.shown.length > 0;
    this.list.hidden = this.shown.length === 0;
    this.choose(0);
  }

  option(one, at) {
    const what = h("span", { class: "what" });
    [...one.what].forEach((letter, place) => what.append(one.found.at.has(place) ? h("mark", {}, letter) : letter));
    const element = h("div", { class: "palette-item", id: `palette-${at}`, role: "option", "aria-disabled": one.off ? "true" : undefined }, one.sign || icon("open"), what, one.why && h("span", { class: "why" }, one.why));
    element.addEventListener("click", () => this.run(at));
    element.addEventListener("pointermove", () => this.choose(at, false));
    return element;
  }

  choose(at, scroll = true) {
    if (this.shown.length === 0) return setAttr(this.input, "aria-activedescendant", null);
    this.at = (at + this.shown.length) % this.shown.length;
    [...this.list.children].forEach((option, place) => setAttr(option, "aria-selected", String(place === this.at)));
    setAttr(this.input, "aria-activedescendant", `palette-${this.at}`);
    if (scroll) this.list.children[this.at].scrollIntoView({ block: "nearest" });
  }

  key(event) {
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8 }[event.key];
    if (step) {
      event.preventDefault();
      this.choose(this.at + step);
    } else if (event.key === "Enter") {
      event.preventDefault();
      this.run(this.at);
    }
  }

  run(at) {
    const one = this.shown[at];
    if (!one || one.off) return;
    this.dialog.close();
    one.run();
  }
}

/** Where the letters of `query` are in `text`, in order; word beginnings and runs count more. Null: not there. */
function fit(query, text) {
  const low = text.toLowerCase();
  const whole = low.indexOf(query);
  if (query === "") return { score: 0, at: new Set() };
  if (whole >= 0) {
    const begins = whole === 0 ? 40 : /[\s-]/.test(low[whole - 1]) ? 20 : 0;
    return { score: 100 + begins - low.length / 100, at: new Set(Array.from(query, (_, n) => whole + n)) };
  }
  const at = new Set();
  let place = -1;
  let score = 0;
  for (const letter of query.replaceAll(" ", "")) {
    const next = low.indexOf(letter, place + 1);
    if (next < 0) return null;
    score += next === place + 1 ? 4 : next === 0 || /[\s-]/.test(low[next - 1]) ? 6 : 1;
    at.add(next);
    place = next;
  }
  return { score: score - low.length / 100, at };
}
