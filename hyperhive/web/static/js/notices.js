// The browser's own notifications of what waits, while nobody looks: they carry the question itself, come at most once
// a minute for each agent (approvals always), and go when it is settled. Of several tabs one tells.

import { ASKS, KIND } from "./approvals.js";
import { FAILED_BUILD, waiting } from "./standing.js";

const KEY = "hyperhive.notices";
const PAUSE = 60000; // milliseconds between two notices about one agent
const PATIENCE = 150; // milliseconds within which another tab says that someone looks at it
const ICON = new URL("../icon.svg", import.meta.url).href;

/** {title, body} of what waits. */
function words({ kind, agent, item, text }) {
  if (kind === "approval") return { title: `${KIND[item.kind] ?? KIND.spawn}: ${agent}`, body: [item.summary || ASKS(item), item.description].filter(Boolean).join("\n") };
  if (kind === "question") return { title: `${agent} asks`, body: [item.question, item.options.join(" · ")].filter(Boolean).join("\n") };
  if (kind === "quarantine") return { title: `${agent} is quarantined`, body: item.quarantined || "It failed too often." };
  if (kind === "build") return { title: `${agent}: build failed`, body: item.last_error.replace(FAILED_BUILD, "") || item.last_error };
  if (kind === "login") return { title: `${agent} needs a login`, body: `hyperhive login ${agent}` };
  return { title: "Trouble on the host", body: text };
}

const looking = () => !document.hidden && document.hasFocus();

export class Notices {
  /** @param goTo(key) shows what waits under `key`. */
  constructor({ store, goTo }) {
    Object.assign(this, { store, goTo });
    this.listeners = new Set();
    this.seen = new Set(waiting(store).map(({ key }) => key));
    this.due = new Map(); // agent → items that wait for their minute to pass
    this.last = new Map(); // agent → when a notice was shown
    this.shown = new Map(); // key → its notification
    this.asks = 0;
    this.answers = new Set();
    this.meet();
    store.on(() => this.draw());
    addEventListener("storage", ({ key }) => key === KEY && this.changed());
    addEventListener("pagehide", () => this.shown.forEach((one) => one.close()));
  }

  /** The tabs of this hive in this browser: one holds the lock and tells; the others say whether they are looked at. */
  meet() {
    this.tells = !navigator.locks;
    navigator.locks?.request("hyperhive.notices", () => {
      this.tells = true;
      return new Promise(() => {});
    });
    this.channel = new BroadcastChannel("hyperhive.notices");
    this.channel.addEventListener("message", ({ data }) => {
      if (data.ask && looking()) this.channel.postMessage({ answer: data.ask });
      if (data.answer) this.answers.add(data.answer);
      if (data.told) this.last.set(data.told, data.at);
    });
  }

  /** unsupported, off, on, muted or denied */
  get state() {
    if (!("Notification" in window) || !isSecureContext) return "unsupported";
    if (Notification.permission === "denied") return "denied";
    const kept = remembered();
    return Notification.permission === "granted" && kept ? kept : "off";
  }

  on(listener) {
    this.listeners.add(listener);
  }

  changed() {
    for (const listener of this.listeners) listener();
  }

  /** What the button does: ask for leave, mute, or tell again. Only a click may ask. */
  async press() {
    const { state } = this;
    if (state === "off" && (await Notification.requestPermission()) !== "granted") return this.changed();
    if (["off", "on", "muted"].includes(state)) remember(state === "on" ? "muted" : "on");
    if (state === "on") this.shown.forEach((one) => one.close());
    return this.changed();
  }

  draw() {
    const items = new Map(waiting(this.store).map((item) => [item.key, item]));
    for (const key of this.seen) if (!items.has(key)) this.settled(key);
    for (const [key, item] of items) {
      if (this.seen.has(key)) continue;
      this.seen.add(key);
      this.arrived(item);
    }
  }

  settled(key) {
    this.seen.delete(key);
    const one = this.shown.get(key);
    this.shown.delete(key);
    if (one && ![...this.shown.values()].includes(one)) one.close();
  }

  arrived(item) {
    if (item.kind === "approval") return this.tell([item]);
    const who = item.agent ?? "the host";
    if (this.due.has(who)) return this.due.get(who).push(item);
    this.due.set(who, [item]);
    return setTimeout(() => this.flush(who), Math.max(0, (this.last.get(who) ?? 0) + PAUSE - Date.now()));
  }

  /** The minute is over: tell what came in it and still waits. */
  async flush(who) {
    const items = this.due.get(who).filter(({ key }) => this.seen.has(key));
    this.due.delete(who);
    if (items.length && (await this.tell(items))) {
      this.last.set(who, Date.now());
      this.channel.postMessage({ told: who, at: Date.now() });
    }
  }

  /** Whether a notice was shown. */
  async tell(items) {
    if (!this.tells || this.state !== "on" || (await this.looked())) return false;
    const waits = items.filter(({ key }) => this.seen.has(key));
    if (waits.length === 0) return false;
    const [first] = waits;
    const { title, body } = words(first);
    const more = waits.length > 1 ? `\nand ${waits.length - 1} more` : "";
    const tag = first.kind === "approval" ? first.key : first.agent ?? first.key;
    const notice = new Notification(title, { body: `${body.slice(0, 600)}${more}`, tag: `hyperhive.${tag}`, icon: ICON, renotify: true });
    for (const { key } of waits) this.shown.set(key, notice);
    notice.addEventListener("click", () => {
      window.focus();
      notice.close();
      this.goTo(first.key);
    });
    return true;
  }

  /** Whether someone looks at this tab or another one of the hive. */
  async looked() {
    if (looking()) return true;
    this.asks += 1;
    const ask = `${performance.timeOrigin}.${this.asks}`;
    this.channel.postMessage({ ask });
    await new Promise((resolve) => setTimeout(resolve, PATIENCE));
    return looking() || this.answers.delete(ask);
  }
}

function remembered() {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
}

function remember(state) {
  try {
    localStorage.setItem(KEY, state);
  } catch {
    // Storage may be forbidden; then it stays off, which is the quiet way to fail.
  }
}
