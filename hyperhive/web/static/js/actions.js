// What can be done to an agent, when, and why not.

import { agentPath, ask } from "./api.js";
import { say } from "./dom.js";
import { word } from "./standing.js";
import { toast } from "./toast.js";

const LABELS = {
  start: ["Start", "play"],
  stop: ["Stop", "stop"],
  restart: ["Restart", "restart"],
  update: ["Rebuild", "rebuild"],
  pause: ["Pause", "pause"],
  resume: ["Resume", "play"],
};

export class Actions {
  constructor({ store, dialogs, compose }) {
    this.store = store;
    this.dialogs = dialogs;
    this.compose = compose;
  }

  /** Why nothing can be done now; null when it can. */
  reason() {
    return this.store.live || this.store.link.state === "connecting" ? null : "Not connected";
  }

  /** What makes sense for `agent` as it stands, the likeliest first. */
  for(agent) {
    const busy = agent.transient ? `${word(agent.transient)}` : null;
    const running = agent.container === "running";
    const one = (key, reason = busy) => this.operation(key, agent.name, reason);
    const stuck = agent.paused || agent.quarantined !== null;
    return [
      stuck ? one("resume", null) : null,
      running ? one("stop") : one("start"),
      running ? one("restart") : null,
      one("update", agent.transient === "rebuilding" ? null : busy),
      stuck ? null : one("pause", null),
    ].filter(Boolean);
  }

  operation(key, name, reason = null) {
    const [label, icon] = LABELS[key];
    return { key, label, icon, reason: this.reason() ?? reason, run: () => this.operate(key, name) };
  }

  /** Every entry of an agent's menu. */
  menu(agent, { page = false } = {}) {
    const off = this.reason();
    const operations = this.for(agent);
    const rest = [
      { label: "Send a message", icon: "message", run: () => this.compose(agent.name) },
      page ? null : { label: "Open its page", icon: "open", run: () => location.assign(`/agents/${agent.name}`) },
    ].filter(Boolean);
    const destroy = {
      label: "Destroy…",
      icon: "destroy",
      fault: true,
      reason: off ?? (agent.role === "manager" ? "The manager stays" : null),
      run: () => this.dialogs.destroy(agent.name),
    };
    return page ? [...operations, null, destroy] : [...rest, null, ...operations, null, destroy];
  }

  async operate(key, name) {
    const off = this.reason();
    if (off) return toast(`${off}: ${LABELS[key][0].toLowerCase()} ${name} was not sent.`, "attention");
    try {
      const { note } = (await ask("POST", agentPath(name, `/${key}`))) ?? {};
      if (note) toast(`${name}: ${note}`, "fine");
      else say(`${LABELS[key][0]} ${name}: accepted.`);
    } catch (error) {
      toast(error.message, "fault");
    }
  }
}
