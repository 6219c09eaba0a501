// An event as a sentence for the log. It tells what happened; what is comes from the views alone.

import { h, icon } from "./dom.js";
import { when } from "./time.js";

export const you = (who) => (who === "operator" ? "you" : who);
const WHAT = { spawn: "the new agent", "spawn-commit": "the new agent from a draft", "apply-commit": "the config change" };
const DECIDED = { revise: "was sent back for a revision", superseded: "was superseded by a newer one", expired: "expired undecided" };
/** Ends that nobody decided: who and why say nothing new. */
const BY_ITSELF = new Set(["superseded", "expired"]);
const bad = (text, note) => ["fault", text, note];

/** kind → (event) => [tone, words after the agent's name, note] */
const SAID = {
  spawned: (e) => (e.ok ? ["fine", "was spawned", e.note] : bad("could not be spawned", e.note)),
  started: () => ["fine", "started"],
  stopped: (e) => ["off", `was stopped by ${you(e.by)}`],
  rebuilt: (e) => (e.ok ? ["fine", "was rebuilt", e.note || e.revision] : bad("could not be rebuilt", e.note)),
  destroyed: () => ["off", "was destroyed"],
  container_crash: (e) => bad("crashed", [e.exit, e.note].filter(Boolean).join(", ")),
  needs_login: () => ["attention", "needs a login"],
  logged_in: () => ["fine", "is logged in"],
  needs_update: () => ["attention", "is stale: a rebuild is due"],
  agent_recovered: (e) => ["attention", `recovered, attempt ${e.attempt}`, e.error],
  agent_quarantined: (e) => bad("was quarantined", e.error),
  transient_set: (e) => ["working", `is ${e.transient}`],
  paused: () => ["off", "was paused"],
  resumed: () => ["fine", "was resumed"],
  approval_requested: (e) => ["attention", `waits for your approval, no. ${e.id}`],
  approval_resolved: (e) => [e.decision === "approved" ? "fine" : "off", `: ${WHAT[e.approval] ?? "the request"} (no. ${e.id}) ${DECIDED[e.decision] ?? `was ${e.decision}`}${e.by && !BY_ITSELF.has(e.decision) ? ` by ${you(e.by)}` : ""}`, BY_ITSELF.has(e.decision) ? "" : e.note],
  draft_created: (e) => ["off", `was begun as a draft by ${you(e.by)}`],
  draft_discarded: (e) => ["off", `was discarded as a draft by ${you(e.by)}`],
  config_applied: (e) => ["fine", `is built from ${e.sha.slice(0, 7)} now`, e.tag],
  mcp_server_failed: (e) => ["attention", `could not start the MCP server ${e.server}`, e.error],
  audit: (e) => ["off", `: ${you(e.by)} asked to ${e.action}`, [e.where, e.note].filter(Boolean).join(", ")],
  question_asked: (e) => ["attention", `asked you question no. ${e.id}`],
  question_answered: (e) => ["fine", `got an answer from ${you(e.by)}`, e.answer],
  message_sent: (e) => ["off", `wrote to ${you(e.to)}`],
  message_delivered: (e) => ["off", `took message no. ${e.id}`],
  turn_started: (e) => ["working", `began turn ${e.turn}, woken by ${you(e.from)}`],
  turn_ended: (e) => (e.ok ? ["fine", `ended turn ${e.turn}`] : bad(`failed in turn ${e.turn}`, e.note)),
};

/** {tone, who, text, note} */
export function sentence(event) {
  const [tone, text, note] = SAID[event.kind]?.(event) ?? ["off", event.kind.replaceAll("_", " ")];
  // A message is told of the agent it concerns, which may be the one that gets it.
  const who = event.kind === "message_sent" ? event.from : event.agent;
  return { tone, who: who ? you(who) : "The hive", text, note: note ? String(note) : "" };
}

/** What the system wrote to an agent is an event; it reads as a sentence. */
export function systemWords(body) {
  try {
    const { who, text, note } = sentence(JSON.parse(body));
    return `${who}${gap(text)}${text}${note ? `: ${note}` : ""}`;
  } catch {
    return body;
  }
}

/** What follows a name: words after a space, a colon at once. */
const gap = (text) => (text.startsWith(":") ? "" : " ");

/**
 * What no list shows: what ended an operation has been told in its own words just before, and what was asked for will
 * be told by what comes of it; the history has it all.
 */
export const told = ({ kind }) => kind !== "transient_cleared" && kind !== "audit";

/** An event as a line of the log. */
export function eventItem(event, fresh = false) {
  const { tone, who, text, note } = sentence(event);
  const words = h("p", {}, h("span", { class: "name" }, who), `${gap(text)}${text}`, note ? h("span", { class: "event-note" }, note) : null);
  return h("li", { class: `event${fresh ? " fresh" : ""}`, "data-seq": event.seq }, icon(tone, `tone-${tone}`), words, when(event.ts, "clock"));
}

/** What is worth a notice: only what went wrong by itself. */
export const LOUD = new Set(["container_crash", "agent_quarantined"]);

export function loud(event) {
  return LOUD.has(event.kind) || ((event.kind === "rebuilt" || event.kind === "spawned") && !event.ok);
}
