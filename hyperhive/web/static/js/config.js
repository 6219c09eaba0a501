// What an agent is built from, and what it was built from before. Fetched when it is opened and whenever another was built.

import { ask } from "./api.js";
import { h, icon, keyed, setText, show } from "./dom.js";
import { Generations } from "./generations.js";
import { seen } from "./odd.js";

export class ConfigView {
  constructor(name, { dialogs, actions }) {
    this.name = name;
    this.of = h("code");
    this.warnings = new Map();
    this.warned = h("ul", { class: "warnings", role: "list", hidden: true });
    this.text = h("pre", { class: "config", tabIndex: 0, role: "region", "aria-label": `Config of ${name}` }, "Loading");
    this.prompt = h("pre", { class: "config", tabIndex: 0, role: "region", "aria-label": `Prompt of ${name}` });
    this.prompted = [h("h3", { class: "section-title" }, "prompt.md"), this.prompt];
    this.generations = new Generations(name, { dialogs, actions });
    const head = h("h3", { class: "section-title" }, "agent.toml ", this.of);
    this.files = h("section", { class: "config-file", "aria-label": `Config files of ${name}` }, head, this.warned, this.text);
    this.element = h("div", { class: "config-view" }, this.files, this.generations.element);
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
    const path = `/api/agent-config/${encodeURIComponent(this.name)}`;
    let linked = false;
    await this.fetch(this.text, path, (headers) => (linked = headers.has("link")));
    if (linked) await this.fetch(this.prompt, `${path}?file=prompt.md`);
    if (linked) this.files.append(...this.prompted);
    else for (const part of this.prompted) part.remove();
  }

  async fetch(into, path, heard) {
    try {
      into.replaceChildren(...seen((await ask("GET", path, undefined, heard)) || "The file is empty."));
    } catch (error) {
      setText(into, error.message);
    }
  }
}
