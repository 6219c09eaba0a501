// A question: options to choose from, free text always, or dismiss it.

import { ask } from "./api.js";
import { Card } from "./card.js";
import { h, icon, show } from "./dom.js";
import { draft } from "./draft.js";
import { when } from "./time.js";

export class Question extends Card {
  build({ item }) {
    const name = `question-${item.id}`;
    this.draft = draft(name);
    const kind = item.multi ? "checkbox" : "radio";
    this.choices = item.options.map((option) => {
      const input = h("input", { type: kind, name, value: option });
      input.addEventListener("click", () => this.undo(input));
      return input;
    });
    const options = h("fieldset", { class: "card-options" }, h("legend", { class: "visually-hidden" }, item.multi ? "Choose any" : "Choose one"));
    options.append(...this.choices.map((input) => h("label", { class: "option" }, input, input.value)));
    this.field = h("textarea", { class: "answer", rows: 1, "aria-label": `Answer to ${item.agent}`, placeholder: item.options.length ? "Or in your own words" : "Your answer" });
    this.field.value = this.draft.get();
    this.field.addEventListener("input", () => this.draft.set(this.field.value));
    this.field.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.form.requestSubmit();
    });
    this.error = h("p", { class: "field-error", role: "alert", hidden: true });
    const send = h("button", { class: "button button-accent", type: "submit", "data-act": "" }, "Answer");
    const drop = h("button", { class: "button button-quiet", type: "button", "data-act": "", onclick: () => this.send("cancel") }, "Dismiss");
    this.form = h("form", { class: "card-form", noValidate: true }, item.options.length ? options : null, h("div", { class: "card-acts" }, this.field, send, drop), this.error);
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.answer();
    });
    this.body.append(this.form);
    if (item.deadline) this.head.append(h("span", { class: "deadline" }, "closes ", when(item.deadline, "until")));
  }

  words({ item }) {
    return item.question;
  }

  /** A radio button that is pressed again lets go. */
  undo(input) {
    if (input.type !== "radio") return;
    if (this.chosen === input) input.checked = false;
    this.chosen = input.checked ? input : null;
  }

  answer() {
    const words = [...this.choices.filter((input) => input.checked).map((input) => input.value), this.field.value.trim()].filter(Boolean);
    if (words.length === 0) return this.refuse("Choose an option or type an answer.");
    return this.send("answer", { answer: words.join("\n") });
  }

  async send(verb, body) {
    const reason = this.actions.reason();
    if (reason) return this.refuse(`${reason}: nothing was sent; what you typed is kept.`);
    try {
      await ask("POST", `/api/questions/${this.item.item.id}/${verb}`, body);
      this.draft.clear();
      show(this.error, false);
    } catch (error) {
      this.refuse(error.message);
    }
  }

  refuse(reason) {
    this.error.replaceChildren(icon("fault"), h("span", {}, reason));
    show(this.error, true);
    this.field.focus();
  }
}
