// The event log: newest first, bounded, still while one reads further down.

import { byId, h, show } from "./dom.js";
import { eventItem, told } from "./events.js";

const KEPT = 500;

/** Whether an event is about an agent: its own, or a message to it. */
export const concerns = (event, name) => event.agent === name || (event.kind === "message_sent" && event.to === name);

export class EventLog {
  /** @param only the agent whose events the list shows; null for all. A page may have no list. */
  constructor(events, { only = null } = {}) {
    this.events = events;
    this.only = only;
    this.listeners = new Set();
    this.list = byId("event-list");
    this.scroller = byId("event-log");
    if (!this.list) return;
    const past = only ? this.of(only) : events.filter(told);
    this.list.append(...[...past].reverse().map((event) => eventItem(event)));
    show(byId("event-none"), past.length === 0);
  }

  on(listener) {
    this.listeners.add(listener);
  }

  /** The last events of one agent, oldest first. */
  of(name) {
    return this.events.filter((event) => concerns(event, name) && told(event));
  }

  add(event) {
    this.events.push(event);
    if (this.events.length > KEPT) this.events.shift();
    for (const listener of this.listeners) listener(event);
    if (this.list && told(event) && (!this.only || concerns(event, this.only))) this.put(eventItem(event, true));
  }

  gap(from, to) {
    if (!this.list) return;
    this.put(h("li", { class: "event-gap" }, `Events ${from + 1} to ${to} came while this page was away; hyperhive events --after ${from} lists them.`));
  }

  put(item) {
    const { scroller, list } = this;
    const before = scroller.scrollHeight;
    list.prepend(item);
    if (list.childElementCount > KEPT) list.lastElementChild.remove();
    if (scroller.scrollTop > 0) scroller.scrollTop += scroller.scrollHeight - before;
    show(byId("event-none"), false);
  }
}
