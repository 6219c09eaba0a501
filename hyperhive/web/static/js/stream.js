// The one live connection: snapshot and patches for what is, numbered events for what happened.
// It comes back by itself behind the last number, so that nothing is missed and nothing comes twice.

import { backoff, frames } from "./sse.js";
import { now, setServerTime } from "./time.js";

const SILENCE = 35000; // two heartbeats missed

/**
 * @param {{seq: number, onState, onPatch, onEvent, onGap, onLink, onOver}} options
 *   onLink(link): {state: "live" | "reconnecting", since, heard, retryAt}
 */
export class Stream {
  constructor(options) {
    this.options = options;
    this.seq = options.seq;
    this.link = { state: "connecting", since: now(), heard: now(), retryAt: null };
    this.tries = 0;
    this.stopped = false;
    this.wake = null;
    this.abort = null;
    this.lastByte = performance.now();
    addEventListener("online", () => this.retry());
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) this.check();
    });
    setInterval(() => this.check(), 5000);
  }

  /** Try again at once, if it waits to. */
  retry() {
    this.tries = 0;
    this.wake?.();
  }

  async run() {
    while (!this.stopped) {
      try {
        await this.once();
        this.lose();
      } catch (error) {
        if (error instanceof Over) return this.end();
        this.lose();
      }
      await this.pause();
    }
  }

  end() {
    this.stopped = true;
    this.abort?.abort();
    this.options.onOver();
  }

  /** End a connection that has been silent for too long: a half-open one never ends by itself. */
  check() {
    if (this.link.state === "live" && performance.now() - this.lastByte > SILENCE) this.abort?.abort();
  }

  async once() {
    this.abort = new AbortController();
    const deadline = setTimeout(() => this.abort.abort(), 15000);
    const response = await fetch(`/api/events?views=1&after=${this.seq}`, {
      signal: this.abort.signal,
      headers: { Accept: "text/event-stream", "Last-Event-ID": String(this.seq) },
      cache: "no-store",
    });
    clearTimeout(deadline);
    if (response.status === 401) throw new Over();
    if (!response.ok || !response.body) throw new Error(`The stream answered ${response.status}.`);
    setServerTime(response.headers.get("date"));
    for await (const one of frames(response)) {
      this.heard();
      if (one.event === "resync") return await this.resync();
      if (one.event !== null) this.take(one);
    }
  }

  take({ id, event, data }) {
    const value = JSON.parse(data);
    if (event === "state") this.options.onState(value);
    else if (event === "patch") this.options.onPatch(value);
    else if (id !== null && Number(id) > this.seq) {
      this.seq = Number(id);
      this.options.onEvent(value);
    }
  }

  /** What we missed is gone: begin afresh from the present, and say that there is a gap. */
  async resync() {
    const response = await fetch("/api/state", { cache: "no-store", signal: this.abort.signal });
    if (response.status === 401) throw new Over();
    if (!response.ok) throw new Error(`The state answered ${response.status}.`);
    const state = await response.json();
    if (state.seq !== this.seq) this.options.onGap(this.seq, state.seq);
    this.seq = state.seq;
    this.options.onState(state);
  }

  heard() {
    this.lastByte = performance.now();
    this.link.heard = now();
    this.tries = 0;
    if (this.link.state !== "live") this.tell({ state: "live", since: now(), retryAt: null });
  }

  lose() {
    if (this.stopped) return;
    const lost = this.link.state === "reconnecting";
    this.tell({ state: "reconnecting", since: lost ? this.link.since : now() });
  }

  async pause() {
    const wait = backoff(this.tries++);
    this.tell({ retryAt: now() + wait });
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, wait);
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.wake = null;
  }

  tell(change) {
    this.link = { ...this.link, ...change };
    this.options.onLink(this.link);
  }
}

class Over extends Error {}
