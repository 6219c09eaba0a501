// What approvals are called and how their ends are told. pages say the same: standing.py.

import { h, icon } from "./dom.js";
import { you } from "./events.js";
import { when } from "./time.js";

export const KIND = {
  spawn: "New agent",
  "spawn-commit": "New agent from a draft",
  "apply-commit": "Config change",
};

/** What is asked for, where no commit says it. */
export const ASKS = ({ requested_by: who, agent }) => `${who === "operator" ? "You asked" : `${who} asks`} for a new agent, ${agent}, with the first config. Approved, it starts at once.`;

/** state → [tone, word] */
const STATES = {
  pending: ["attention", "Waiting"],
  approved: ["fine", "Approved"],
  building: ["fine", "Approved"],
  deployed: ["fine", "Approved"],
  failed: ["fault", "Approved"],
  denied: ["off", "Denied"],
  revise: ["off", "Sent back for a revision"],
  withdrawn: ["off", "Withdrawn"],
  superseded: ["off", "Superseded"],
  expired: ["off", "Expired"],
  decided: ["off", "Decided elsewhere"],
};

/** What happens next, for who decided. */
export function wait({ state, kind, requested_by: who }) {
  if (state === "denied") return `denied; ${who} is told.`;
  if (state === "revise") return `sent back; ${who} is told what to change.`;
  return kind === "apply-commit" ? "approved; it is being rebuilt." : "approved; it is being spawned.";
}

/** "Denied by you at the command line, 2 min ago: reason", as nodes. */
export function decidedBy({ state, by, where, decided, note }) {
  const [tone, word] = STATES[state] ?? ["off", state];
  const who = by && state !== "expired" ? ` by ${you(by)}` : "";
  const door = `${where ? `, ${through(where)}` : ""}${state === "failed" ? ", but it failed" : ""}`;
  return [icon(tone, `tone-${tone}`), h("span", {}, h("b", {}, `${word}${who}`), door, decided ? [", ", when(decided)] : "", note ? `: “${note}”` : "")];
}

/** "dashboard 10.0.0.7" as words. */
export function through(where) {
  const [door, address] = where.split(/ (?=\S+$)/);
  const known = { dashboard: "at the dashboard", "command line": "at the command line", command: "at the command line", api: "over HTTP", http: "over HTTP", HTTP: "over HTTP", mcp: "over MCP", MCP: "over MCP" };
  if (where in known) return known[where];
  return door in known && address ? `${known[door]} from ${address}` : where;
}
