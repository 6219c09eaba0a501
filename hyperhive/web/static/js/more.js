// What a row opens to: facts, config with its history, build output, log, events. Fetched when it is looked at.

import { agentPath, ask } from "./api.js";
import { BuildOutput } from "./build.js";
import { ConfigView } from "./config.js";
import { h, setAttr, setText, show } from "./dom.js";
import { concerns } from "./eventlog.js";
import { eventItem, told } from "./events.js";
import { facts } from "./facts.js";

const TABS = [["facts", "Facts"], ["config", "Config"], ["build", "Build"], ["output", "Log"], ["happened", "Events"]];

export class More {
  constructor(agent, { log, actions }) {
    this.agent = agent;
    this.log = log;
    this.parts = { actions, dialogs: actions.dialogs };
    this.views = {};
    this.buttons = new Map();
    const bar = h("div", { class: "more-tabs", role: "group", "aria-label": `About ${agent.name}` });
    for (const [key, label] of TABS) {
      const button = h("button", { class: "more-tab", type: "button", onclick: () => this.choose(key) }, label);
      this.buttons.set(key, button);
      bar.append(button);
    }
    bar.append(h("span", { class: "grow" }), h("a", { class: "link-like", href: `/agents/${encodeURIComponent(agent.name)}` }, "Turns and more"));
    this.body = h("div", { class: "more-body" });
    this.element = h("div", { class: "row-more" }, bar, this.body);
    this.log.on((event) => this.heard(event));
    this.choose("facts");
  }

  show(visible) {
    show(this.element, visible);
    if (!visible) this.views[this.tab]?.close();
    else if (this.tab !== "facts") this.choose(this.tab);
  }

  choose(tab) {
    if (this.tab !== tab) this.views[this.tab]?.close();
    this.tab = tab;
    for (const [key, button] of this.buttons) setAttr(button, "aria-pressed", String(key === tab));
    this[tab]();
  }

  update(agent) {
    this.agent = agent;
    if (this.tab === "facts") this.facts();
    for (const view of Object.values(this.views)) view.update(agent);
  }

  facts() {
    if (this.body.firstElementChild?.className !== "fact-list") {
      this.list = h("dl", { class: "fact-list" });
      this.body.replaceChildren(this.list);
    }
    facts(this.list, this.agent);
  }

  config() {
    this.look("config", () => new ConfigView(this.agent.name, this.parts));
  }

  build() {
    this.look("build", () => new BuildOutput(this.agent.name));
  }

  /** Show a view of its own, made when it is first looked at. */
  look(tab, make) {
    this.views[tab] ??= make();
    const view = this.views[tab];
    if (view.element.parentNode !== this.body) this.body.replaceChildren(view.element);
    view.update(this.agent);
    view.open();
  }

  output() {
    return this.text(agentPath(this.agent.name, "/logs?lines=100"), "The container has written nothing yet.");
  }

  async text(path, empty) {
    const { tab } = this;
    let pre = this.body.querySelector("pre");
    if (pre?.dataset.tab !== tab) {
      pre = h("pre", { "data-tab": tab, tabIndex: 0, role: "region", "aria-label": `${tab} of ${this.agent.name}` }, "Loading");
      this.body.replaceChildren(pre);
    }
    let text;
    try {
      text = await ask("GET", path);
    } catch (error) {
      text = error.message;
    }
    if (this.tab !== tab) return;
    setText(pre, (typeof text === "string" ? text : JSON.stringify(text)) || empty);
    if (tab === "output") pre.scrollTop = pre.scrollHeight;
  }

  happened() {
    const list = h("ol", { class: "events" });
    const past = this.log.of(this.agent.name).slice(-60).reverse();
    list.append(...past.map((event) => eventItem(event)));
    this.body.replaceChildren(past.length ? list : h("p", { class: "quiet" }, "Nothing in the last events."));
  }

  heard(event) {
    if (this.tab !== "happened" || !concerns(event, this.agent.name) || !told(event) || this.element.hidden) return;
    const list = this.body.querySelector("ol");
    if (list) list.prepend(eventItem(event, true));
    else this.happened();
  }
}
