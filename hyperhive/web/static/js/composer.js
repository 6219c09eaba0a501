// Writing to an agent. What is typed is kept until the hive has it.

import { ask } from "./api.js";
import { byId, h, icon, say, show } from "./dom.js";
import { draft } from "./draft.js";
import { byName } from "./store.js";

export class Composer {
  /** @param only the agent whose page this is; null where one can choose. */
  constructor({ store, actions, only = null }) {
    this.store = store;
    this.actions = actions;
    this.only = only;
    this.form = byId("composer");
    this.to = byId("composer-to");
    this.body = byId("composer-body");
    this.error = byId("composer-error");
    this.draft = draft(`message.${only ?? ""}`);
    this.body.value = this.draft.get();
    if (/Mac|iPhone|iPad/.test(navigator.platform)) byId("composer-hint").firstElementChild.textContent = "⌘ Enter";
    this.body.addEventListener("input", () => this.draft.set(this.body.value));
    this.body.addEventListener("keydown", (event) => this.key(event));
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.send();
    });
    if (!only) {
      store.on(() => this.draw());
      this.draw();
    }
  }

  /** The recipients, without moving the choice. */
  draw() {
    const names = [...this.store.agents.values()].sort(byName).map(({ name }) => name);
    if (this.names === names.join()) return;
    this.names = names.join();
    const chosen = this.to.value;
    this.to.replaceChildren(...names.map((name) => h("option", { value: name }, name)));
    this.to.value = names.includes(chosen) ? chosen : names[0] ?? "";
  }

  /** Begin a message, to `name` where one is given. */
  begin(name) {
    if (name) this.to.value = name;
    this.body.focus();
  }

  key(event) {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      this.send();
    } else if (event.key === "Escape") this.body.blur();
  }

  async send() {
    const body = this.body.value;
    const reason = this.actions.reason();
    if (!body.trim()) return this.refuse("Write something first.");
    if (reason) return this.refuse(`${reason}: the message was not sent; it is kept here.`);
    if (this.sending) return;
    this.sending = true;
    try {
      await ask("POST", "/api/messages", { to: this.to.value, body });
      if (this.body.value === body) this.body.value = "";
      this.draft.set(this.body.value);
      show(this.error, false);
      say(`Sent to ${this.to.value}.`);
    } catch (error) {
      this.refuse(error.message);
    } finally {
      this.sending = false;
    }
  }

  refuse(reason) {
    this.error.replaceChildren(icon("fault"), h("span", {}, reason));
    show(this.error, true);
  }
}
