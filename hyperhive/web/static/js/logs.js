// The container's log, live, with a filter and wrapping; both live in the URL.

import { agentPath } from "./api.js";
import { byId, h, setText, show } from "./dom.js";
import { Follow } from "./scroll.js";
import { Tail } from "./tail.js";
import { remember } from "./tabs.js";

const TAIL = 500;
const KEPT = 3000;

export class Logs {
  constructor(name) {
    this.list = byId("log-lines");
    this.filter = byId("log-filter");
    this.wrap = byId("log-wrap");
    this.follow = new Follow(byId("logs-scroll"), byId("logs-new"));
    const asked = new URLSearchParams(location.search);
    this.filter.value = asked.get("lines") ?? "";
    this.wrap.checked = asked.get("wrap") === "1";
    this.filter.addEventListener("input", () => this.filtered());
    this.filter.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      this.filter.value = "";
      this.filtered();
      this.filter.blur();
    });
    this.wrap.addEventListener("change", () => this.wrapped());
    this.wrapped();
    this.tail = new Tail({
      path: () => agentPath(name, `/logs?follow=1&lines=${TAIL}`),
      // A log has no numbers: a stream that comes back begins with the tail again.
      onBegin: () => this.list.replaceChildren(),
      onFrame: ({ data }) => this.add(data),
    });
  }

  open() {
    this.tail.run();
    this.follow.grew();
  }

  add(text) {
    const lines = text.replace(/\n$/, "").split("\n");
    for (const line of lines) {
      const item = h("li", {}, plain(line));
      item.hidden = !this.fits(line);
      this.list.append(item);
    }
    while (this.follow.following && this.list.childElementCount > KEPT) this.list.firstElementChild.remove();
    this.sum();
    this.follow.grew();
  }

  fits(line) {
    return line.toLowerCase().includes(this.filter.value.trim().toLowerCase());
  }

  filtered() {
    remember("lines", this.filter.value);
    for (const item of this.list.children) item.hidden = !this.fits(item.textContent);
    this.sum();
    if (this.follow.following) this.follow.end();
  }

  wrapped() {
    this.list.classList.toggle("wrap", this.wrap.checked);
    remember("wrap", this.wrap.checked ? "1" : "");
  }

  sum() {
    const none = byId("log-none");
    const empty = !this.list.querySelector("li:not([hidden])");
    show(none, empty);
    if (empty) setText(none, this.list.childElementCount ? `No line matches “${this.filter.value.trim()}”.` : "The container has written nothing yet.");
  }
}

/** A line without terminal colours and control characters. */
export function plain(line) {
  return line.replace(/\u001b\[[0-9;?]*[ -/]*[@-~]/g, "").replace(/[\u0000-\u0008\u000b-\u001f\u007f]/g, "");
}
