// What an agent is built from, and what it was built from before. Fetched when it is opened and whenever another was built.

import { ask } from "./api.js";
import { h, icon, keyed, setText, show } from "./dom.js";
import { Generations } from "./generations.js";

export class ConfigView {
  constructor(name, { dialogs, actions }) {
    this.name = name;
    this.of = h("code");
    this.warnings = new Map();
    this.warned = h("ul", { class: "warnings", role: "list", hidden: true });
    this.text = h("pre", { class: "config", tabIndex: 0, role: "region", "aria-label": `Config of ${name}` }, "Loading");
    this.generations = new Generations(name, { dialogs, actions });
    const head = h("h3", { class: "section-title" }, "agent.toml ", this.of);
    this.element = h("div", { class: "config-view" }, h("section", { class: "config-file", "aria-label": `agent.toml of ${name}` }, head, this.warned, this.text), this.generations.element);
  }

  open() {
    this.opened = true;
    this.load();
  }

  close() {
    this.opened = false;
  }

  update(agent) {
    const built = `${agent.recorded_revision} ${agent.generation}`;
    const other = built !== this.built;
    this.built = built;
    setText(this.of, agent.commit ? agent.commit.slice(0, 7) : agent.recorded_revision);
    this.generations.busy(agent.transient);
    show(this.warned, agent.warnings.length > 0);
    keyed(this.warned, this.warnings, agent.warnings, (text) => text, (text) => h("li", {}, icon("attention", "tone-attention"), h("span", {}, text)), () => {});
    if (other && this.opened) this.load();
  }

  async load() {
    this.generations.load();
    try {
      setText(this.text, (await ask("GET", `/api/agent-config/${encodeURIComponent(this.name)}`)) || "The file is empty.");
    } catch (error) {
      setText(this.text, error.message);
    }
  }
}
