// The agents: grouped, filtered, keyed. A row that someone is at does not move away under them.

import { byId, h, keyed, setAttr, setText, show } from "./dom.js";
import { GROUPS } from "./standing.js";
import { Row } from "./row.js";
import { byName } from "./store.js";

export class Agents {
  constructor({ store, actions, log }) {
    this.store = store;
    this.parts = { actions, log };
    this.rows = new Map();
    this.root = byId("groups");
    this.filter = byId("filter");
    this.sections = new Map(GROUPS.map(([key, title]) => [key, section(key, title)]));
    this.root.replaceChildren(...[...this.sections.values()].map(({ element }) => element));
    this.filter.addEventListener("input", () => this.filtered());
    this.filter.addEventListener("keydown", (event) => this.leaveFilter(event));
    this.root.addEventListener("pointerleave", () => this.draw());
    this.root.addEventListener("focusout", () => requestAnimationFrame(() => this.draw()));
    store.on(() => this.draw());
    this.draw();
  }

  draw() {
    const words = this.filter.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    const agents = [...this.store.agents.values()].sort(byName);
    this.drop();
    const members = new Map(GROUPS.map(([key]) => [key, []]));
    for (const agent of agents) {
      const row = this.row(agent);
      row.update(agent);
      if (!row.place || !row.held) row.place = row.group;
      if (matches(row, agent, words)) members.get(row.place).push(row);
    }
    for (const [key, { element, list, count, kept }] of this.sections) {
      const rows = members.get(key);
      keyed(list, kept, rows, (row) => row.name, (row) => row.element, () => {});
      setText(count, String(rows.length));
      show(element, rows.length > 0);
    }
    setAttr(this.root, "data-names", breadth(agents));
    this.sum(agents.length, [...members.values()].flat().length, words);
  }

  row(agent) {
    const known = this.rows.get(agent.name);
    if (known) return known;
    const row = new Row(agent, this.parts);
    this.rows.set(agent.name, row);
    return row;
  }

  /** Forget rows of agents that are gone; the focus of one goes to its neighbour. */
  drop() {
    for (const [name, row] of this.rows) {
      if (this.store.agents.has(name)) continue;
      if (row.element.contains(document.activeElement)) this.move(1, -1);
      row.element.remove();
      this.rows.delete(name);
    }
  }

  sum(all, shown, words) {
    setText(byId("agents-count"), words.length ? `${shown} of ${all}` : String(all));
    const none = byId("agents-none");
    show(none, shown === 0);
    if (shown === 0) setText(none, words.length ? `No agent matches “${this.filter.value.trim()}”.` : "There are no agents yet.");
  }

  filtered() {
    const url = new URL(location.href);
    if (this.filter.value) url.searchParams.set("q", this.filter.value);
    else url.searchParams.delete("q");
    history.replaceState(null, "", url);
    this.draw();
  }

  leaveFilter(event) {
    if (event.key === "Escape") {
      this.filter.value = "";
      this.filtered();
      this.filter.blur();
    } else if (event.key === "Enter" || event.key === "ArrowDown") {
      event.preventDefault();
      this.visible()[0]?.toggle.focus();
    }
  }

  visible() {
    const order = [...this.root.querySelectorAll(".group:not([hidden]) .agent")];
    return order.map((element) => this.rows.get(element.dataset.name)).filter(Boolean);
  }

  /** The row that has the focus. */
  current() {
    const name = document.activeElement?.closest(".agent")?.dataset.name;
    return this.rows.get(name);
  }

  /** Move the focus by `step` rows; without one focused, to the first (or `otherwise` from the end). */
  move(step, otherwise = 0) {
    const rows = this.visible();
    const at = rows.indexOf(this.current());
    const row = at < 0 ? rows.at(otherwise) : rows[Math.min(rows.length - 1, Math.max(0, at + step))];
    row?.toggle.focus({ preventScroll: true });
    row?.line.scrollIntoView({ block: "nearest" });
  }
}

/** How wide the column of names has to be; one for all rows, so that they align. */
function breadth(agents) {
  const longest = Math.max(0, ...agents.map(({ name }) => name.length));
  return longest <= 17 ? "short" : longest <= 24 ? "medium" : "long";
}

function section(key, title) {
  const count = h("span", { class: "group-count" });
  const list = h("ul", { class: "rows", role: "list" });
  const heading = h("h3", { class: "group-title", id: `group-${key}` }, `${title} `, count);
  const element = h("section", { class: "group", "data-group": key, "aria-labelledby": `group-${key}` }, heading, list);
  return { element, list, count, kept: new Map() };
}

/** Every word is in its name, its state or its trouble. */
function matches(row, agent, words) {
  if (!words.length) return true;
  const { name, model, quarantined, last_error: error } = agent;
  const said = [name, model, quarantined, error, row.word.textContent, ...row.chips.keys()];
  const text = said.join(" ").toLowerCase();
  return words.every((word) => text.includes(word));
}
