// An agent's facts as a list of terms, updated in place.

import { h, setClass, setText } from "./dom.js";
import { word } from "./standing.js";
import { setWhen, when } from "./time.js";

/** Rows of [term, text, {tone?, mono?, at?, mode?}]. */
function lines(agent) {
  const { turn } = agent;
  const known = { running: "fine", "logged-in": "fine", "up-to-date": "fine" };
  const tone = (value) => known[value] ?? (value === "stopped" ? "off" : "attention");
  return [
    ["Container", word(agent.container), { tone: tone(agent.container), at: agent.since, mode: "for" }],
    ["Login", word(agent.login), { tone: tone(agent.login) }],
    ["Revision", word(agent.revision), { tone: tone(agent.revision) }],
    ["Turn", turn.turn ? `${turn.turn}, ${turn.state}` : word(turn.state), { at: turn.since, mode: "for" }],
    turn.until ? ["Until", "", { at: turn.until, mode: "until" }] : null,
    turn.note ? ["Because", turn.note, {}] : null,
    agent.restart_at ? ["Next start", "", { at: agent.restart_at, mode: "until" }] : null,
    agent.quarantined !== null ? ["Quarantined", agent.quarantined, { tone: "fault" }] : null,
    agent.last_error ? ["Last error", agent.last_error, {}] : null,
    ...agent.warnings.map((text, at) => [at ? `Warning ${at + 1}` : "Warning", text, { tone: "attention" }]),
    ["Inbox", agent.inbox_depth === 1 ? "1 message" : `${agent.inbox_depth} messages`, {}],
    ["Model", agent.model || "not known yet", { mono: Boolean(agent.model) }],
    agent.generation ? ["Generation", String(agent.generation), {}] : null,
    ["Built from", agent.recorded_revision || "not built yet", { mono: Boolean(agent.recorded_revision) }],
    ["Runtime", agent.runtime ? `${agent.runtime}${agent.confined ? "" : ", unconfined"}` : "none", { tone: agent.confined || !agent.runtime ? undefined : "attention" }],
    ["Process", agent.pid ? `pid ${agent.pid}` : "none", {}],
  ].filter(Boolean);
}

/** Fill or update a <dl>. */
export function facts(list, agent) {
  const wanted = lines(agent);
  const terms = wanted.map(([term]) => term).join("|");
  if (list.dataset.terms !== terms) {
    list.dataset.terms = terms;
    list.replaceChildren(...wanted.flatMap(([term]) => [h("dt", {}, term), h("dd", {}, h("span"))]));
  }
  const values = list.querySelectorAll("dd");
  wanted.forEach(([, text, look], at) => fill(values[at], text, look));
}

function fill(dd, text, { tone, mono, at, mode }) {
  setClass(dd, [tone && tone !== "fine" ? `tone-${tone}` : "", mono ? "mono" : ""].join(" ").trim());
  setText(dd.firstElementChild, text);
  let time = dd.querySelector("time");
  if (at && !time) {
    time = when(at, mode);
    dd.append(" ", time);
  }
  if (at) setWhen(time, at);
}
