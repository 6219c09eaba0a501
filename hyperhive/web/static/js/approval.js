// An approval: what would change, in words and as a diff; approve, deny with a reason, or ask for a revision.

import { ask } from "./api.js";
import { ASKS, decidedBy, KIND, wait } from "./approvals.js";
import { Card } from "./card.js";
import { DiffView, plural, sizes } from "./diffview.js";
import { h, icon, setAttr, setText, show } from "./dom.js";
import { you } from "./events.js";
import { Note } from "./note.js";
import { Rounds } from "./rounds.js";
import { when } from "./time.js";
import { toast } from "./toast.js";

const SHORT = 40; // changed lines up to which the diff of the only approval opens by itself

export class Approval extends Card {
  build({ item }) {
    setText(this.head.querySelector(".card-kind"), KIND[item.kind] ?? KIND.spawn);
    this.rounds = new Rounds(item, this.head);
    if (item.deadline) this.head.append(h("span", { class: "deadline" }, "expires ", when(item.deadline, "until")));
    this.said = h("p", { class: "card-said", hidden: !item.description }, item.description);
    this.meta = h("p", { class: "card-meta" }, meta(item));
    this.warning = h("p", { class: "card-warning", hidden: true }, icon("attention", "tone-attention"), h("span"));
    this.error = h("p", { class: "field-error", role: "alert", hidden: true });
    this.outcome = h("p", { class: "card-outcome", role: "status", hidden: true });
    this.place = h("div", { class: "card-diff", hidden: true });
    this.acts = h("div", { class: "card-acts" }, this.button("approve", "Approve", "A", "button button-accent"), this.button("deny", "Deny…", "D"), this.button("revise", "Ask for a revision…", "R"));
    if (item.files) {
      this.toggle = h("button", { class: "button button-quiet card-toggle", type: "button", "aria-expanded": "false", "aria-keyshortcuts": "O", onclick: () => this.open() }, icon("chevron"), h("span", {}, "Read the diff"));
      this.acts.append(this.toggle);
    }
    this.note = new Note({ id: item.id, send: (decision, note) => this.decide(decision, note), closed: () => this.element.focus({ preventScroll: true }) });
    this.body.append(this.said, this.rounds.element, this.meta, this.warning, this.acts, this.note.element, this.error, this.outcome, this.place);
    this.body.classList.add("card-wide");
    const alone = this.store.approvals.length === 1;
    if (alone && item.files && item.files <= 3 && item.added + item.removed <= SHORT) this.open(true);
  }

  words({ item }) {
    return item.summary || ASKS(item);
  }

  button(decision, label, key, look = "button") {
    return h("button", { class: look, type: "button", "data-act": "", "aria-keyshortcuts": key, onclick: () => this[decision]() }, label);
  }

  update(item) {
    super.update(item);
    if (this.settled) return;
    const runs = this.store.agents.get(item.agent)?.commit ?? "";
    const changed = runs !== "" && item.item.sha !== null && runs !== (item.item.base ?? "");
    show(this.warning, changed);
    if (changed) setText(this.warning.lastElementChild, `What ${item.agent} runs has changed since this was proposed: then ${item.item.base?.slice(0, 7) ?? "nothing"}, now ${runs.slice(0, 7)}.`);
    this.diff?.outdated(runs);
  }

  /** Open the diff, or close it; it is fetched once. */
  open(wanted = !this.opened) {
    if (!this.toggle) return false;
    this.opened = wanted;
    setAttr(this.toggle, "aria-expanded", String(wanted));
    setText(this.toggle.lastElementChild, wanted ? "Close the diff" : "Read the diff");
    show(this.place, wanted);
    if (!wanted || this.diff) return true;
    const { item } = this.item;
    this.diff = new DiffView({ id: item.id, label: `Changes of ${item.agent}` });
    this.place.append(this.diff.element);
    this.diff.outdated(this.store.agents.get(item.agent)?.commit ?? "");
    this.diff.load();
    this.rounds.comparable().then((against) => this.diff.offer(against));
    return true;
  }

  approve() {
    return this.decide("approve", "");
  }

  deny() {
    this.note.open("deny", "Why not? The asker reads it.", "Deny", false);
  }

  revise() {
    this.note.open("revise", "What should change? The asker reads it.", "Ask for a revision", true);
  }

  async decide(decision, note) {
    const reason = this.actions.reason();
    if (this.settled || this.sending) return;
    this.sending = true;
    try {
      if (reason) throw new Error(`${reason}: the decision was not sent.`);
      const decided = await ask("POST", `/api/approvals/${this.item.item.id}/${decision}`, { note });
      show(this.error, false);
      this.mine = true;
      this.note.clear();
      toast(`${this.item.agent}: ${wait(decided)}`, "fine");
    } catch (error) {
      this.error.replaceChildren(icon("fault"), h("span", {}, error.message));
      show(this.error, true);
    } finally {
      this.sending = false;
      this.store.tell();
    }
  }

  /** It was decided, and not here: say by whom and what; the list takes the card away later. */
  settle(decided, dismiss) {
    const within = this.element.contains(document.activeElement);
    this.settled = true;
    setAttr(this.element, "data-settled", "");
    this.head.querySelector(".deadline")?.remove();
    show(this.acts, false);
    show(this.warning, false);
    show(this.error, false);
    this.note.close(false);
    this.outcome.replaceChildren(...decidedBy(decided), h("button", { class: "icon-button", type: "button", "aria-label": "Close", onclick: dismiss }, icon("close")));
    show(this.outcome, true);
    // What had the focus went: the card keeps it, where the list has it next.
    if (within) this.element.focus({ preventScroll: true });
  }

  /** Whether someone reads in it. */
  get read() {
    return this.element.matches(":hover, :focus-within");
  }
}

/** Who asks, which commit, how much. */
function meta(item) {
  const parts = [h("span", {}, `no. ${item.id}, asked by ${you(item.requested_by)}`)];
  if (item.sha) parts.push(h("code", { title: item.sha }, item.sha.slice(0, 7)));
  if (item.files) {
    parts.push(h("span", {}, plural(item.files, "file"), " ", ...sizes(item.added, item.removed)));
  }
  return parts;
}
