// How an agent stands, in the screen's words. standing.py says the same for the first paint.

import { byName } from "./store.js";

export const GROUPS = [
  ["attention", "Needs attention"],
  ["working", "Working"],
  ["idle", "Idle"],
  ["stopped", "Stopped"],
];

const TURN = {
  idle: "Idle",
  thinking: "Thinking",
  compacting: "Compacting",
  waiting: "Waiting for you",
  "rate-limited": "Rate-limited",
  offline: "API unreachable",
};

const TONES = { idle: "fine", thinking: "working", compacting: "working" };

export const word = (slug) => slug.charAt(0).toUpperCase() + slug.slice(1);

/** Whether the last rebuild failed and nothing is under way to mend it. */
export const failedBuild = (agent) => agent.transient === null && FAILED_BUILD.test(agent.last_error ?? "");

/** How last_error begins after a rebuild that failed; a card's head says so itself. */
export const FAILED_BUILD = /^rebuild failed[: ]*/i;

/**
 * {group, tone, state, since, saying, chips: [[tone, text]], why}
 * since: null where nobody knows; saying: the tone of the state's word, which a fault elsewhere does not colour
 */
export function standing(agent) {
  const [group, tone, state, since, saying = tone] = stands(agent);
  const error = failedBuild(agent) ? agent.last_error.replace(FAILED_BUILD, "") : agent.last_error;
  const why = agent.quarantined || error || agent.turn.note || (agent.warnings[0] ?? "");
  return { group, tone, state, since, saying, chips: chips(agent), why };
}

function stands(agent) {
  const { turn } = agent;
  const doing = TURN[turn.state] ?? word(turn.state);
  if (agent.quarantined !== null) return ["attention", "fault", "Quarantined", null];
  if (agent.transient !== null) {
    return ["working", "working", word(agent.transient), agent.transient_since ?? agent.since];
  }
  if (agent.container === "unknown") return ["attention", "attention", "Unknown", null];
  if (agent.container === "stopped") {
    if (agent.restart_at !== null) return ["attention", "fault", "Crashed", agent.since];
    if (agent.last_error) return ["attention", "fault", "Stopped", agent.since];
    return ["stopped", "off", "Stopped", agent.since];
  }
  if (agent.login === "needs-login") return ["attention", "attention", "Needs login", null];
  if (failedBuild(agent)) return ["attention", "fault", doing, turn.since, TONES[turn.state] ?? "attention"];
  if (agent.paused) return ["idle", "off", "Paused", null];
  if (turn.state === "thinking" || turn.state === "compacting") return ["working", "working", doing, turn.since];
  if (turn.state === "waiting" || turn.state === "offline") return ["attention", "attention", doing, turn.since];
  if (turn.state === "rate-limited") return ["idle", "attention", doing, turn.since];
  if (!agent.ready) return ["working", "working", "Connecting", agent.since];
  return ["idle", "fine", doing, turn.since];
}

function chips(agent) {
  const found = [];
  const running = agent.container === "running";
  if (agent.login === "needs-login" && !running) found.push(["attention", "Needs login"]);
  if (running && agent.quarantined !== null) found.push(["off", "Still running"]);
  if (failedBuild(agent)) found.push(["fault", "Build failed"]);
  if (agent.revision === "stale" && agent.transient !== "rebuilding") found.push(["attention", "Stale"]);
  if (agent.paused && (!running || agent.login === "needs-login")) found.push(["off", "Paused"]);
  const { length } = agent.warnings;
  if (length) found.push(["attention", length === 1 ? "1 warning" : `${length} warnings`]);
  return found;
}

/** What waits for the operator, in the order in which it should be dealt with. */
export function waiting(store) {
  const agents = [...store.agents.values()].sort(byName);
  const one = (kind, tone, agent, since, item) => ({ key: `${kind}:${item.id ?? agent}`, kind, tone, agent, since, item });
  return [
    ...store.hive.trouble.map((text) => ({ ...one("trouble", "fault", null, null, { id: text }), text })),
    ...agents.filter((agent) => agent.quarantined !== null)
      .map((agent) => one("quarantine", "fault", agent.name, null, agent)),
    ...store.approvals.filter((approval) => approval.state === "pending")
      .map((approval) => one("approval", "attention", approval.agent, approval.requested, approval)),
    ...store.questions.filter((question) => question.state === "open")
      .map((question) => one("question", "attention", question.agent, question.asked, question)),
    ...agents.filter(failedBuild).map((agent) => one("build", "fault", agent.name, null, agent)),
    ...agents.filter((agent) => agent.login === "needs-login" && agent.quarantined === null)
      .map((agent) => one("login", "attention", agent.name, null, agent)),
  ];
}

const ALIKE = 3; // so many agents with the same trouble become one card
const TAKES = { approval: 2, question: 3 };

const trouble = {
  quarantine: ({ item }) => item.quarantined,
  build: ({ item }) => item.last_error.replace(FAILED_BUILD, ""),
  login: () => "",
};

/** The same list with one card for what is the same for several agents; `held(key)`: one is being worked on. */
export function gathered(items, held) {
  const alike = new Map();
  for (const item of items) {
    const same = trouble[item.kind] ? `${item.kind}*${trouble[item.kind](item)}` : item.key;
    alike.set(same, [...(alike.get(same) ?? []), item]);
  }
  return [...alike].flatMap(([key, same]) => {
    if (same.length < ALIKE || same.some((item) => held(item.key))) return same;
    return { ...same[0], key, agent: null, of: same };
  });
}

/** What of the list shows at first: in its order, of each kind one, more as long as there is room (lines of about 48 px), `held` always. */
export function first(items, room, held) {
  const takes = (item) => TAKES[item.kind] ?? 1;
  const heads = new Set(items.filter(({ kind }, at) => items.findIndex((other) => other.kind === kind) === at));
  for (const item of heads) room -= takes(item);
  return items.filter((item) => {
    if (heads.has(item)) return true;
    const shows = takes(item) <= room;
    if (shows) room -= takes(item);
    return shows || held(item.key);
  });
}
