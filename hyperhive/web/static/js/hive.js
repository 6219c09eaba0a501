// The hive's page.

import { Agents } from "./agents.js";
import { Composer } from "./composer.js";
import { byId, icon, setAttr, show } from "./dom.js";
import { Drafts } from "./drafts.js";
import { Kept } from "./kept.js";
import { Messages } from "./messages.js";
import { boot } from "./page.js";
import { delivered } from "./store.js";
import { remember, Tabs } from "./tabs.js";
import { Waiting } from "./waiting.js";

boot({ build });

function build({ store, actions, dialogs, log, messages }) {
  const agents = new Agents({ store, actions, log });
  const composer = new Composer({ store, actions });
  const flow = new Messages(messages, { onNews: () => begin(store, flow) });
  const waiting = new Waiting({ store, actions, title: delivered("snapshot").hive.name });
  const view = views();
  new Drafts({ store, actions, dialogs, waiting });
  new Kept({ store, actions, dialogs });
  for (const button of [byId("spawn-open"), byId("begin-spawn")]) {
    button.addEventListener("click", () => {
      if (!actions.reason()) dialogs.spawn();
    });
  }
  store.on(() => begin(store, flow));
  byId("waiting-count").addEventListener("click", (event) => {
    event.preventDefault();
    view("agents");
    waiting.next();
  });
  const compose = (name) => {
    view("messages");
    composer.begin(name);
  };
  byId("begin-write").addEventListener("click", () => compose("manager"));
  const decide = (verb) => () => waiting.approval()?.[verb]() ?? (waiting.approval() ? undefined : false);
  const keys = {
    "/": () => {
      view("agents");
      byId("filter").focus();
    },
    j: () => agents.move(1),
    k: () => agents.move(-1, -1),
    w: () => {
      view("agents");
      return waiting.next();
    },
    m: () => compose(agents.current()?.name),
    o: () => waiting.approval()?.open() ?? false,
    Enter: () => waiting.card()?.open() ?? false,
    a: decide("approve"),
    d: decide("deny"),
    r: decide("revise"),
  };
  const go = (name) => () => view(name);
  const places = [
    { what: "Messages", why: "", sign: icon("message"), run: go("messages") },
    { what: "Events", why: "", sign: icon("log"), run: go("events") },
    { what: "Waiting for you", why: "", sign: icon("hand"), run: () => waiting.next() },
  ];
  const goTo = (key) => {
    view("agents");
    return waiting.goTo(key);
  };
  const asked = /^#waits=(.+)$/.exec(location.hash);
  if (asked && goTo(decodeURIComponent(asked[1]))) history.replaceState(null, "", location.pathname + location.search);
  return { compose, heard: (event) => flow.heard(event), keys, places, goTo };
}

/** What a newcomer does first, until it is done. */
function begin(store, flow) {
  const few = store.agents.size <= 3 && store.kept.length === 0;
  show(byId("begin"), few && !flow.wrote);
  show(byId("drafts"), store.drafts.length > 0 || !few || flow.wrote);
  setAttr(byId("begin-first"), "data-done", store.agents.size > 1 ? "" : null);
}

/** Which view shows: of two beside each other on a wide screen, of three on a narrow one. In the URL. */
function views() {
  const main = byId("main");
  const tabs = new Tabs(document.querySelector(".right-tabs"), "view", (name) => mark(name));
  const links = [...document.querySelectorAll(".panes a")];
  const wide = matchMedia("(width >= 1100px)");

  function mark(name) {
    setAttr(main, "data-view", name);
    const current = name || "agents";
    for (const link of links) setAttr(link, "aria-current", link.dataset.view === current ? "page" : null);
  }

  function view(name) {
    if (name === "agents") {
      if (wide.matches) return;
      mark(name);
      remember("view", name);
    } else tabs.choose(name);
  }

  for (const link of links) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      view(link.dataset.view);
    });
  }
  const asked = main.dataset.view;
  tabs.choose(asked === "events" ? "events" : "messages", { keep: false });
  mark(asked);
  return view;
}
