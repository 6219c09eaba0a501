// A stream of one agent's (turns, log) that comes back by itself.

import { backoff, frames } from "./sse.js";

/**
 * @param path () => where to read, asked anew at every try
 * @param onFrame ({id, event, data}) => void
 * @param onBegin called when a stream begins, with the number of the try
 */
export class Tail {
  constructor({ path, onFrame, onBegin = () => {}, onTrouble = () => {} }) {
    Object.assign(this, { path, onFrame, onBegin, onTrouble });
    this.running = false;
  }

  async run() {
    if (this.running) return;
    this.running = true;
    for (let tries = 0; ; tries++) {
      try {
        const response = await fetch(this.path(), { cache: "no-store", headers: { Accept: "text/event-stream" } });
        if (response.status === 401 || response.status === 404) return;
        if (!response.ok) throw new Error(String(response.status));
        this.onBegin();
        for await (const one of frames(response)) {
          tries = 0;
          if (one.event !== null) this.onFrame(one);
        }
      } catch {
        this.onTrouble();
      }
      await new Promise((resolve) => setTimeout(resolve, backoff(tries)));
    }
  }
}
