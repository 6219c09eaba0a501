// One agent's page.

import { BuildOutput } from "./build.js";
import { Composer } from "./composer.js";
import { ConfigView } from "./config.js";
import { byId, h, icon, keyed, setAttr, setClass, setText, show } from "./dom.js";
import { facts } from "./facts.js";
import { Logs } from "./logs.js";
import { openMenu } from "./menu.js";
import { Messages } from "./messages.js";
import { boot } from "./page.js";
import { failedBuild, standing } from "./standing.js";
import { delivered } from "./store.js";
import { Tabs } from "./tabs.js";
import { setWhen, when } from "./time.js";
import { toast } from "./toast.js";
import { Turns } from "./turns.js";
import { Waiting } from "./waiting.js";

const name = byId("main").dataset.name;

function build({ store, actions, dialogs, messages }) {
  const composer = new Composer({ store, actions, only: name });
  const flow = new Messages(messages, { only: name });
  const title = `${name} · ${delivered("snapshot").hive.name}`;
  const waiting = new Waiting({ store, actions, title, only: name });
  const views = { turns: new Turns(name), logs: new Logs(name), config: new ConfigView(name, { actions, dialogs }), build: new BuildOutput(name) };
  byId("panel-config").replaceChildren(views.config.element);
  byId("panel-build").replaceChildren(views.build.element);
  const looks = () => {
    const agent = store.agents.get(name);
    if (agent) for (const view of [views.config, views.build]) view.update(agent);
  };
  store.on(looks);
  looks();
  const tabs = new Tabs(document.querySelector(".tabs"), "tab", (tab) => {
    for (const [key, view] of Object.entries(views)) if (key !== tab) view.close?.();
    views[tab]?.open();
    if (tab === "messages") flow.follow.grew();
  });
  besides(tabs);
  tabs.choose(new URLSearchParams(location.search).get("tab"), { keep: false });
  new Head({ store, actions });
  byId("waiting-count").addEventListener("click", (event) => {
    if (waiting.next()) event.preventDefault();
  });
  const compose = () => {
    tabs.choose("messages");
    composer.begin();
  };
  const decide = (verb) => () => waiting.approval()?.[verb]() ?? (waiting.approval() ? undefined : false);
  const turn = (step) => {
    if (byId("panel-turns").hidden) return false;
    return views.turns.move(step);
  };
  const keys = {
    m: compose,
    w: () => waiting.next(),
    "/": () => {
      tabs.choose("logs");
      byId("log-filter").focus();
    },
    j: () => turn(1),
    k: () => turn(-1),
    o: () => waiting.approval()?.open() ?? false,
    Enter: () => waiting.card()?.open() ?? false,
    a: decide("approve"),
    d: decide("deny"),
    r: decide("revise"),
  };
  const sign = () => icon("open");
  const places = [
    { what: "The hive", why: "", sign: sign(), run: () => location.assign("/") },
    ...["turns", "logs", "messages", "config", "build"].map((tab) => ({ what: `${tab} of ${name}`, why: "", sign: sign(), run: () => tabs.choose(tab) })),
  ];
  return { compose, heard: (event) => flow.heard(event), keys, places, goTo: (key) => waiting.goTo(key) };
}

/** The facts stand beside the tabs where there is room, and are one of them where there is none. */
function besides(tabs) {
  const about = byId("about");
  const home = about.parentNode;
  const wide = matchMedia("(width >= 1100px)");
  const settle = () => {
    (wide.matches ? home : byId("panel-facts")).append(about);
    if (wide.matches && !byId("panel-facts").hidden) tabs.choose("turns");
  };
  wide.addEventListener("change", settle);
  settle();
}

/** The header: how it stands, and what can be done. */
class Head {
  constructor({ store, actions }) {
    this.store = store;
    this.actions = actions;
    this.buttons = new Map();
    this.chips = new Map();
    this.bar = byId("agent-acts");
    this.bar.replaceChildren();
    byId("agent-chips").replaceChildren();
    byId("facts").replaceChildren();
    this.menu = h("button", { class: "icon-button", type: "button", "aria-label": `More actions for ${name}`, "aria-haspopup": "menu" }, icon("more"));
    this.menu.addEventListener("click", () => openMenu(this.menu, name, actions.menu(this.agent, { page: true })));
    store.on(() => this.draw());
    this.draw();
  }

  draw() {
    const agent = this.store.agents.get(name);
    if (!agent) return this.gone();
    this.agent = agent;
    const stand = standing(agent);
    const state = byId("agent-state");
    setClass(byId("agent-glyph"), `glyph i i-${stand.tone} tone-${stand.tone}`);
    setClass(state, `tone-${stand.saying}`);
    setText(state.querySelector(".state-word"), stand.state);
    this.since ??= state.querySelector("time") ?? state.appendChild(when(agent.since, "for"));
    show(this.since, stand.since !== null);
    if (stand.since) setWhen(this.since, stand.since);
    keyed(byId("agent-chips"), this.chips, stand.chips, ([, text]) => text, ([tone, text]) => h("span", { class: `chip tone-${tone} fresh` }, icon(tone), text), () => {});
    const shown = waitsElsewhere(agent) ? "" : agent.last_error ?? "";
    setText(byId("agent-error"), shown);
    show(byId("agent-error"), shown !== "");
    facts(byId("facts"), agent);
    this.act(agent);
  }

  act(agent) {
    const wanted = this.actions.for(agent).slice(0, 3);
    if (!this.menu.isConnected) this.bar.append(this.menu);
    keyed(this.bar, this.buttons, wanted, ({ key }) => key, (one) => this.button(one), (button, one) => {
      const off = one.reason;
      setAttr(button, "aria-disabled", off ? "true" : null);
      setAttr(button, "title", off);
    });
    if (this.bar.lastElementChild !== this.menu) this.bar.append(this.menu);
  }

  button({ key, label, icon: sign }) {
    return h("button", { class: "button", type: "button", "data-act": "", onclick: (event) => this.press(event, key) }, icon(sign), label);
  }

  press(event, key) {
    if (event.currentTarget.getAttribute("aria-disabled") === "true") {
      return toast(`${name}: ${event.currentTarget.title.toLowerCase()}; wait until that has ended.`, "attention");
    }
    return this.actions.operate(key, name);
  }

  /** It was destroyed while one looked. */
  gone() {
    if (this.ended) return;
    this.ended = true;
    setClass(byId("agent-glyph"), "glyph i i-off tone-off");
    setText(byId("agent-state").querySelector(".state-word"), "Destroyed");
    show(byId("agent-error"), false);
    show(this.bar, false);
    show(byId("composer"), false);
    toast(`${name} was destroyed. What you see is what it left.`, "attention");
  }
}

/** Whether a card on the page says it already. */
function waitsElsewhere(agent) {
  return agent.quarantined !== null || failedBuild(agent);
}

boot({ only: name, build });
