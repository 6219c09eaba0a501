// The field for a decision's note. What is typed in it is kept, over a reload too.

import { h } from "./dom.js";
import { draft } from "./draft.js";

export class Note {
  /** @param send(decision, note) sends it; closed() is called when it was given up. */
  constructor({ id, send, closed }) {
    this.id = `note-${id}`;
    this.draft = draft(this.id);
    this.send = send;
    this.closed = closed;
    this.element = h("div", { hidden: true });
  }

  open(decision, label, verb, required) {
    const field = h("textarea", { id: this.id, rows: 2, required });
    field.value = this.draft.get();
    field.addEventListener("input", () => this.draft.set(field.value));
    const back = h("button", { class: "button button-quiet", type: "button", onclick: () => this.close() }, "Cancel");
    const form = h(
      "form",
      { class: "card-note" },
      h("label", { htmlFor: this.id }, label),
      field,
      h("div", { class: "card-acts" }, h("button", { class: "button", type: "submit", "data-act": "" }, verb), back),
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.send(decision, field.value.trim());
    });
    form.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.close();
      else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
    });
    this.element.replaceChildren(form);
    this.element.hidden = false;
    field.focus();
  }

  close(told = true) {
    this.element.replaceChildren();
    this.element.hidden = true;
    if (told) this.closed();
  }

  clear() {
    this.draft.clear();
  }
}
