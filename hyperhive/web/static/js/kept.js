// Agents that were destroyed and whose folders are kept: revive one, or delete what it left.

import { ask } from "./api.js";
import { byId, h, icon, keyed, setText, show } from "./dom.js";
import { toast } from "./toast.js";
import { setWhen, size, when } from "./time.js";

export class Kept {
  constructor({ store, actions, dialogs }) {
    Object.assign(this, { store, actions, dialogs });
    this.rows = new Map();
    this.list = byId("kept-list");
    this.list.replaceChildren();
    store.on(() => this.draw());
    this.draw();
  }

  draw() {
    const { kept } = this.store;
    show(byId("kept"), kept.length > 0);
    setText(byId("kept-count"), String(kept.length));
    keyed(this.list, this.rows, kept, ({ name }) => name, (one) => this.row(one), (row, one) => this.update(row, one));
  }

  update(row, { since, size: bytes, logged_in: login }) {
    setWhen(row.querySelector("time"), since);
    setText(row.querySelector(".kept-rest"), `${bytes === null ? "" : `, ${size(bytes)}`}, ${login ? "still logged in" : "no login"}`);
  }

  row({ name, since }) {
    const act = (label, sign, run) => h("button", { class: "button button-quiet", type: "button", "data-act": "", "aria-label": `${label.replace("…", "")} ${name}`, onclick: run }, icon(sign), label);
    return h(
      "li",
      { class: "kept-row" },
      h("span", { class: "name" }, name),
      h("span", { class: "quiet" }, "destroyed ", when(since), h("span", { class: "kept-rest" })),
      h("span", { class: "kept-acts" }, act("Revive", "play", () => revive(this.actions, name)), act("Purge…", "destroy", () => this.purge(name))),
    );
  }

  purge(name) {
    const off = this.actions.reason();
    if (off) return toast(`${off}: nothing was sent.`, "attention");
    return this.dialogs.purge(name);
  }
}

/** Spawn a kept agent again, with the folders it left. */
export async function revive(actions, name) {
  const off = actions.reason();
  if (off) return toast(`${off}: ${name} was not revived.`, "attention");
  try {
    await ask("POST", `/api/kept/${encodeURIComponent(name)}/revive`);
  } catch (error) {
    toast(error.message, "fault");
  }
}
