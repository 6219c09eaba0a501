// The rounds of a proposal: what was asked to change before, and what it can be compared with.

import { ask } from "./api.js";
import { h, show } from "./dom.js";
import { plural } from "./diffview.js";
import { when } from "./time.js";

const LOOK_BACK = 200; // decisions in which an agent's earlier proposals are looked for
const GRANTED = new Set(["approved", "building", "deployed", "failed"]);
/** How a round ended, where it was not sent back. */
const ENDS = { denied: "Denied", withdrawn: "Withdrawn", superseded: "Superseded by the next", expired: "Expired", approved: "Approved", building: "Approved", deployed: "Approved", failed: "Approved, but it failed" };
/** 1st, 2nd, 3rd, 4th, 11th, 21st … */
function ordinal(count) {
  const tens = count % 100;
  const end = tens > 10 && tens < 14 ? "th" : (["th", "st", "nd", "rd"][count % 10] ?? "th");
  return `${count}${end}`;
}

export class Rounds {
  /** @param head gets "2nd round". */
  constructor(item, head) {
    this.item = item;
    this.badge = h("span", { class: "card-round", hidden: true });
    this.element = h("div", { class: "rounds", hidden: true });
    head.querySelector("time")?.before(this.badge) ?? head.append(this.badge);
    if (item.thread && item.thread !== item.id) this.load();
  }

  async load() {
    try {
      const { thread } = await ask("GET", `/api/approvals/${this.item.id}`);
      this.draw(thread);
    } catch {
      // The card says what it knows; the diff and the decision do not hang on it.
    }
  }

  draw(thread) {
    const earlier = thread.filter(({ id }) => id < this.item.id);
    if (earlier.length === 0) return;
    this.badge.textContent = `${ordinal(earlier.length + 1)} round`;
    show(this.badge, true);
    const last = earlier.at(-1);
    const before = earlier.slice(0, -1).reverse();
    this.element.replaceChildren(asked(last));
    if (before.length) this.element.append(h("details", { class: "rounds-before" }, h("summary", {}, `${plural(before.length, "round")} before`), before.map(asked)));
    show(this.element, true);
  }

  /** What the proposal can be compared with: only what there is, and only what differs from each other. */
  async comparable() {
    const { item } = this;
    let known = [];
    try {
      const answer = await ask("GET", `/api/approvals?limit=${LOOK_BACK}`);
      known = answer.approvals.filter(({ id, agent, sha }) => agent === item.agent && id < item.id && sha);
    } catch {
      return ["running"];
    }
    const [last] = known;
    const granted = known.find(({ state }) => GRANTED.has(state));
    return [
      "running",
      last && last.sha !== item.base ? "proposal" : null,
      granted && granted.sha !== item.base && granted.sha !== last.sha ? "approved" : null,
    ].filter(Boolean);
  }
}

function asked({ by, note, decided, summary, state }) {
  const who = by && by !== "operator" ? by : "You";
  const said = state === "superseded" ? "" : note; // that one is the hive's own, and says the same
  const what = state === "revise" ? `${who} asked` : (ENDS[state] ?? state);
  const words = [h("span", { class: "round-who" }, said ? `${what}: ` : what), said ? h("q", {}, said) : null];
  return h("p", { class: "round", title: summary ? `Of “${summary}”` : null }, ...words, " ", decided ? h("span", { class: "quiet" }, when(decided)) : null);
}
