// What a build says, live while it runs, and what the last one said otherwise.

import { agentPath } from "./api.js";
import { h, icon, setText, show } from "./dom.js";
import { plain } from "./logs.js";
import { Follow } from "./scroll.js";
import { backoff, frames } from "./sse.js";

const BUILDS = new Set(["rebuilding", "spawning"]);
const KEPT = 5000; // lines on the page

export class BuildOutput {
  constructor(name) {
    this.path = agentPath(name, "/build?follow=1");
    this.status = h("p", { class: "panel-note", role: "status" }, "What the last build said.");
    this.lines = h("ol", { class: "log-lines wrap" });
    this.none = h("p", { class: "quiet" }, "Loading");
    const scroller = h("div", { class: "scroller", tabIndex: 0, role: "region", "aria-label": `Build output of ${name}` }, this.lines, this.none);
    const latest = h("button", { class: "button flow-new", type: "button", hidden: true }, "Latest", icon("down"));
    this.element = h("div", { class: "build" }, this.status, scroller, latest);
    this.follow = new Follow(scroller, latest);
    this.building = false;
    this.visible = false;
  }

  open() {
    this.visible = true;
    this.listen();
    this.follow.grew();
  }

  close() {
    this.visible = false;
    this.abort?.abort();
  }

  update(agent) {
    const building = BUILDS.has(agent.transient);
    const begins = building && !this.building;
    this.building = building;
    setText(this.status, building ? "Building now." : "What the last build said.");
    if (begins && this.visible) this.listen();
  }

  /** Follow until the build has ended; a connection that breaks comes back. */
  async listen() {
    if (this.listening) return;
    this.listening = true;
    for (let tries = 0; this.visible; tries++) {
      const ended = await this.once();
      if (ended && !this.building) break;
      await new Promise((resolve) => setTimeout(resolve, backoff(tries)));
    }
    this.listening = false;
  }

  /** One stream from its beginning; true when it told all there was. */
  async once() {
    this.abort = new AbortController();
    this.at = 0;
    try {
      const response = await fetch(this.path, { cache: "no-store", signal: this.abort.signal, headers: { Accept: "text/event-stream" } });
      if (response.status === 401 || response.status === 404) return true;
      if (!response.ok) return false;
      for await (const { event, data } of frames(response)) {
        if (event === "end") return this.end();
        if (event !== null) for (const line of data.split("\n")) this.add(plain(line));
      }
    } catch {
      // Aborted, or cut off: the caller knows which.
    }
    return false;
  }

  /** What stands there already stays, so that nothing moves when a stream begins anew. */
  add(line) {
    const known = this.lines.children[this.at];
    if (known?.textContent !== line) {
      this.cut();
      if (this.at < KEPT) this.lines.append(h("li", {}, line));
    }
    this.at += 1;
    show(this.none, false);
    this.follow.grew();
  }

  cut() {
    while (this.lines.childElementCount > this.at) this.lines.lastElementChild.remove();
  }

  end() {
    this.cut();
    show(this.none, this.at === 0);
    setText(this.none, "Nothing was built yet.");
    return true;
  }
}
