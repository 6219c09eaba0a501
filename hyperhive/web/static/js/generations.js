// What an agent ran and runs: its generations, newest first, and the way back to an earlier one.

import { agentPath, ask } from "./api.js";
import { h, icon, keyed, setAttr, setText, show } from "./dom.js";
import { you } from "./events.js";
import { setWhen, when } from "./time.js";

export class Generations {
  constructor(name, { dialogs, actions }) {
    Object.assign(this, { name, dialogs, actions });
    this.rows = new Map();
    this.list = h("ol", { class: "generations", role: "list" });
    this.none = h("p", { class: "quiet" }, "Loading");
    this.element = h("section", { class: "history", "aria-label": `Generations of ${name}` }, h("h3", { class: "section-title" }, "Generations"), this.list, this.none);
  }

  async load() {
    try {
      const { generations } = await ask("GET", agentPath(this.name, "/history"));
      this.draw(generations);
    } catch (error) {
      setText(this.none, error.message);
      show(this.none, true);
    }
  }

  draw(generations) {
    this.current = generations.find(({ current }) => current);
    show(this.none, generations.length === 0);
    setText(this.none, "Nothing was built yet.");
    keyed(this.list, this.rows, generations, ({ number }) => number, (one) => this.row(one), (row, one) => this.update(row, one));
    this.busy(this.transient ?? null);
  }

  row(one) {
    const back = h("button", { class: "button", type: "button", "data-act": "", "aria-label": `Roll back to generation ${one.number}`, onclick: () => this.roll(one) }, "Roll back…");
    const from = one.approval ? [", approved as ", h("a", { class: "link-like", href: `/history?approval=${one.approval}` }, `no. ${one.approval}`)] : one.by ? `, by ${you(one.by)}` : "";
    return h(
      "li",
      { class: "generation", "data-number": one.number },
      h("span", { class: "generation-number" }, String(one.number)),
      h("div", {}, h("p", { class: "generation-what" }, one.summary || "Built"), h("p", { class: "generation-from" }, h("code", { title: one.revision }, one.commit.slice(0, 7) || one.revision.slice(0, 12)), " ", when(one.made), from)),
      h("span", { class: "generation-state" }, h("span", { class: "chip tone-fine" }, icon("fine"), "Runs now"), back, h("span", { class: "quiet", title: "Only the newest generations keep their folders; propose its commit again instead." }, "not kept")),
    );
  }

  update(row, { current, here, made }) {
    const [chip, back, gone] = row.querySelector(".generation-state").children;
    setAttr(row, "aria-current", current ? "true" : null);
    show(chip, current);
    show(back, !current && here);
    show(gone, !current && !here);
    setWhen(row.querySelector("time"), made);
  }

  /** While something is under way nothing can be rolled back. */
  busy(transient) {
    this.transient = transient;
    for (const row of this.rows.values()) {
      const back = row.querySelector("button");
      setAttr(back, "aria-disabled", transient ? "true" : null);
      setAttr(back, "title", transient ? `It is ${transient}; wait until that has ended.` : null);
    }
  }

  roll(one) {
    if (this.transient || this.actions.reason()) return;
    this.dialogs.rollback(this.name, one, this.current);
  }
}
