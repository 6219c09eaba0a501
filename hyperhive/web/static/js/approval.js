// An approval: approve, deny with a reason, or ask for a revision.

import { ask } from "./api.js";
import { Card } from "./card.js";
import { h, icon, show } from "./dom.js";

export class Approval extends Card {
  build() {
    this.error = h("p", { class: "field-error", role: "alert", hidden: true });
    this.approveButton = this.button("approve", "Approve", "A", "button button-accent");
    this.body.append(
      h("div", { class: "card-acts" }, this.approveButton, this.button("deny", "Deny", "D"), this.button("revise", "Ask for a revision", "R")),
      this.error,
    );
  }

  words({ item }) {
    const note = item.note ? `\n${item.note}` : "";
    return `${item.requested_by} asks for a new agent, ${item.agent}. Approved, it starts at once.${note}`;
  }

  button(decision, label, key, look = "button") {
    return h("button", { class: look, type: "button", "data-act": "", "aria-keyshortcuts": key, onclick: () => this[decision]() }, label);
  }

  approve() {
    return this.decide("approve", "");
  }

  deny() {
    this.note("deny", "Why not? The asker reads it.", "Deny", false);
  }

  revise() {
    this.note("revise", "What should change? The asker reads it.", "Ask for a revision", true);
  }

  /** A field for the note, in the card. */
  note(decision, label, verb, required) {
    this.form?.remove();
    const id = `note-${this.item.item.id}`;
    const field = h("textarea", { id, rows: 2, required });
    field.value = this.typed ?? "";
    field.addEventListener("input", () => {
      this.typed = field.value;
    });
    const back = h("button", { class: "button button-quiet", type: "button", onclick: () => this.close() }, "Cancel");
    this.form = h(
      "form",
      { class: "card-note" },
      h("label", { htmlFor: id }, label),
      field,
      h("div", { class: "card-acts" }, h("button", { class: "button", type: "submit", "data-act": "" }, verb), back),
    );
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.decide(decision, field.value.trim());
    });
    this.form.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.close();
      else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.form.requestSubmit();
    });
    this.body.insertBefore(this.form, this.error);
    field.focus();
  }

  close() {
    this.form?.remove();
    this.form = null;
    this.element.focus({ preventScroll: true });
  }

  async decide(decision, note) {
    const reason = this.actions.reason();
    try {
      if (reason) throw new Error(`${reason}: the decision was not sent.`);
      await ask("POST", `/api/approvals/${this.item.item.id}/${decision}`, { note });
      show(this.error, false);
    } catch (error) {
      this.error.replaceChildren(icon("fault"));
      this.error.append(h("span", {}, error.message));
      show(this.error, true);
    }
  }
}
