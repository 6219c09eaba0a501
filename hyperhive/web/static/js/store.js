// What the page knows: the snapshot as last heard, and how sure it may be of it.

export class Store {
  constructor(snapshot) {
    this.listeners = new Set();
    this.link = { state: "connecting", since: Date.now(), heard: Date.now(), retryAt: null };
    this.load(snapshot);
  }

  load(snapshot) {
    this.hive = snapshot.hive;
    this.agents = new Map(snapshot.agents.map((agent) => [agent.name, agent]));
    this.approvals = snapshot.approvals;
    this.questions = snapshot.questions;
    this.inbox = snapshot.inbox;
    this.kept = snapshot.kept;
    this.drafts = snapshot.drafts;
  }

  /** Take a whole snapshot. */
  replace(snapshot) {
    this.load(snapshot);
    this.tell();
  }

  /** Take what changed: whole views of agents, names that are gone, whole other parts. */
  patch({ agents = [], gone = [], ...parts }) {
    for (const agent of agents) this.agents.set(agent.name, agent);
    for (const name of gone) this.agents.delete(name);
    for (const part of ["hive", "approvals", "questions", "inbox", "kept", "drafts"]) {
      if (part in parts) this[part] = parts[part];
    }
    this.tell();
  }

  setLink(link) {
    this.link = link;
    this.tell();
  }

  get live() {
    return this.link.state === "live";
  }

  /** Call `listener` after every change, once a frame at most. */
  on(listener) {
    this.listeners.add(listener);
  }

  tell() {
    if (this.due) return;
    this.due = true;
    // A hidden page gets no frames; its title must still count what waits.
    const later = document.hidden ? (run) => setTimeout(run, 200) : requestAnimationFrame;
    later(() => {
      this.due = false;
      for (const listener of this.listeners) listener(this);
    });
  }
}

/** JSON that the page was delivered with. */
export function delivered(id) {
  return JSON.parse(document.getElementById(id).textContent);
}

const natural = (name) => name.replace(/[0-9]+/g, (number) => number.padStart(31, "0"));
const before = (one, other) => (one < other ? -1 : Number(one > other));

/** The manager first, then as people sort names: agent-2 before agent-10. */
export const byName = (one, other) =>
  (one.role !== "manager") - (other.role !== "manager") || before(natural(one.name), natural(other.name)) || before(one.name, other.name);
