// The connection as the operator sees it: live, reconnecting since when, and how old the page is.

import { byId, say, setAttr, setText, show } from "./dom.js";
import { hold, lasted, now } from "./time.js";

const PATIENCE = 1500; // a short break is told in the bar; a longer one greys the page

export class LinkView {
  constructor({ store, stream }) {
    this.store = store;
    byId("lost-retry").addEventListener("click", () => stream.retry());
    store.on(() => this.draw());
    setInterval(() => this.draw(), 1000);
    this.draw();
  }

  draw() {
    const { state, since, heard, retryAt } = this.store.link;
    const broken = state === "reconnecting";
    const lost = broken && now() - since > PATIENCE;
    setText(byId("link-text"), this.word(state, since));
    setAttr(byId("link"), "data-known", state === "live" ? "" : null);
    byId("link").title = `Last heard from the hive ${lasted(now() - heard)} ago`;
    this.grey(lost, heard);
    if (!lost) return;
    const next = retryAt && retryAt > now() + 1000 ? `Next try in ${lasted(retryAt - now() + 999)}.` : "Trying now.";
    setText(byId("lost-text"), `What you see is ${lasted(now() - heard)} old, and nothing can be changed. ${next}`);
  }

  word(state, since) {
    if (state === "live") return "Connected";
    if (state === "connecting") return "Connecting";
    return `Reconnecting for ${lasted(now() - since)}`;
  }

  grey(lost, heard) {
    if ((document.body.dataset.link === "lost") === lost) return;
    document.body.dataset.link = lost ? "lost" : "live";
    show(byId("lost"), lost);
    // "Thinking for 4 min" would go on counting what nobody knows.
    hold(lost ? heard : null);
    say(lost ? "Connection lost. Reconnecting." : "Connected again.");
    for (const button of document.querySelectorAll("[data-act]")) {
      setAttr(button, "aria-disabled", lost ? "true" : null);
      setAttr(button, "title", lost ? "Not connected" : (button.dataset.tip ?? null));
    }
  }
}
