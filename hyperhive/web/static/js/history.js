// The history's page: the list stays as it was asked for; what came since is counted, and diffs open in place.

import { count } from "./count.js";
import { DiffView } from "./diffview.js";
import { byId, setAttr, setText, show } from "./dom.js";
import { boot } from "./page.js";
import { waiting } from "./standing.js";
import { delivered } from "./store.js";

const main = byId("main");
const kinds = new Set(main.dataset.kinds.split(",").filter(Boolean));

function build({ store, log }) {
  const title = `History · ${delivered("snapshot").hive.name}`;
  const draw = () => count(title, waiting(store).length);
  store.on(draw);
  draw();
  let news = 0;
  log.on(({ kind }) => {
    if (main.dataset.first !== "yes" || (kinds.size && !kinds.has(kind))) return;
    news += 1;
    const bar = byId("history-news");
    setText(bar.firstElementChild, `${news} ${news === 1 ? "entry" : "entries"} since.`);
    show(bar, true);
  });
  byId("history-show").addEventListener("change", (event) => event.target.form.requestSubmit());
  for (const link of document.querySelectorAll(".decision-diff")) link.addEventListener("click", (event) => open(event, link));
  const go = (name) => location.assign(`/agents/${encodeURIComponent(name)}?tab=messages`);
  const places = [{ what: "The hive", why: "", sign: "", run: () => location.assign("/") }];
  const keys = { "/": () => byId("history-agent").focus(), w: () => location.assign("/#waiting") };
  return { compose: (name) => go(name ?? "manager"), heard: () => {}, keys, places };
}

/** Open a diff below its entry, or close it. */
function open(event, link) {
  if (event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
  event.preventDefault();
  const entry = link.closest(".decision > div");
  const known = entry.querySelector(".diff");
  setAttr(link, "aria-expanded", String(!known || known.hidden));
  if (known) return show(known, known.hidden);
  const diff = new DiffView({ id: link.dataset.id, label: `Changes of ${link.dataset.agent}` });
  entry.append(diff.element);
  diff.load();
}

boot({ build });
