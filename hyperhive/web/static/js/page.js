// What every live page has: store, stream, connection, notices, palette, menu, keys.

import { Actions } from "./actions.js";
import { onSessionOver } from "./api.js";
import { Bell } from "./bell.js";
import { Dialogs } from "./dialogs.js";
import { byId, icon, setAttr, setClass, setText, show } from "./dom.js";
import { EventLog } from "./eventlog.js";
import { loud, sentence } from "./events.js";
import { help, listen } from "./keys.js";
import { LinkView } from "./link.js";
import { openMenu } from "./menu.js";
import { Notices } from "./notices.js";
import { Palette } from "./palette.js";
import { word } from "./standing.js";
import { delivered, Store } from "./store.js";
import { Stream } from "./stream.js";
import { setTheme, theme, themes } from "./theme.js";
import { startTicking } from "./time.js";
import { toast } from "./toast.js";

/**
 * Bring the page to life.
 * @param {{only?: string, build: Function}} options
 *   build(parts) makes the page's own parts and returns
 *   {compose(name), heard(event | null), keys, places, goTo?(key)}: goTo shows what waits, true when it could.
 */
export function boot({ only = null, title, build }) {
  const snapshot = delivered("snapshot");
  const store = new Store(snapshot);
  const dialogs = new Dialogs(store);
  const log = new EventLog(delivered("events-data"), { only });
  let page = null;
  const actions = new Actions({ store, dialogs, compose: (name) => page.compose(name) });
  startTicking();
  page = build({ store, actions, dialogs, log, messages: delivered("messages-data") });
  const goTo = (key) => page.goTo?.(key) || location.assign(`/#waits=${encodeURIComponent(key)}`);
  const bell = new Bell(new Notices({ store, goTo }));
  const palette = new Palette({ store, actions, dialogs, bell, places: [...page.places, HISTORY] });
  const stream = new Stream({
    seq: snapshot.seq,
    onState: (state) => store.replace(state),
    onPatch: (patch) => store.patch(patch),
    onEvent: (event) => happened(event, { log, page, only }),
    onGap: (from, to) => log.gap(from, to),
    onLink: (link) => {
      if (link.state === "live" && store.link.state !== "live") page.heard(null);
      store.setLink(link);
    },
    onOver: () => dialogs.over(),
  });
  onSessionOver(() => stream.end());
  new LinkView({ store, stream });
  store.on(() => banners(store.hive));
  byId("palette-open").addEventListener("click", () => palette.open());
  byId("menu-open").addEventListener("click", (event) => openMenu(event.currentTarget, "", mainMenu({ dialogs, bell, keys: help(page.keys) })));
  if (/Mac|iPhone|iPad/.test(navigator.platform)) setText(byId("palette-open").querySelector("kbd"), "⌘ K");
  listen({ ...page.keys, "?": () => dialogs.keys(help(page.keys)) }, palette);
  stream.run();
  return { store, title };
}

function happened(event, { log, page, only }) {
  log.add(event);
  if (event.kind === "message_sent") page.heard(event);
  if (!loud(event) || (only && event.agent !== only)) return;
  const { who, text, note } = sentence(event);
  toast(`${who} ${text}${note ? `: ${note}` : "."}`, "fault");
}

/** Rehearsal and missing walls are said plainly and always. */
function banners(hive) {
  setText(byId("hive-name"), hive.name);
  setText(byId("mode"), word(hive.mode));
  setAttr(byId("mode"), "data-mode", hive.mode);
  setClass(byId("runtime"), hive.confined ? "tag" : "tag tag-warn");
  setText(byId("runtime"), hive.confined ? hive.runtime : `${hive.runtime} · unconfined`);
  show(document.querySelector('[data-banner="rehearsal"]'), hive.mode === "rehearsal");
  show(document.querySelector('[data-banner="unconfined"]'), !hive.confined);
}

const HISTORY = { what: "History", why: "decisions and the audit trail", sign: icon("history"), run: () => location.assign("/history") };

function mainMenu({ dialogs, bell, keys }) {
  const chosen = theme();
  return [
    { label: "History", icon: "history", run: HISTORY.run },
    bell.entry(),
    null,
    ...themes.map(([key, label]) => ({ label: `${label} theme`, icon: "theme", checked: key === chosen, run: () => setTheme(key) })),
    null,
    { label: "Keys", icon: "keys", note: "?", run: () => dialogs.keys(keys) },
    { label: "Log out", icon: "logout", run: logout },
  ];
}

function logout() {
  const form = document.createElement("form");
  form.method = "post";
  form.action = "/logout";
  document.body.append(form);
  form.submit();
}
