// Drafts: agents that are being thought out. A config repository and a state folder, no container.

import { byId, h, icon, keyed, setText, show } from "./dom.js";
import { you } from "./events.js";
import { setWhen, size, when } from "./time.js";
import { toast } from "./toast.js";

export class Drafts {
  constructor({ store, actions, dialogs, waiting }) {
    Object.assign(this, { store, actions, dialogs, waiting });
    this.rows = new Map();
    this.list = byId("draft-list");
    this.list.replaceChildren();
    byId("draft-open").addEventListener("click", () => {
      if (!actions.reason()) dialogs.draft();
    });
    store.on(() => this.draw());
    this.draw();
  }

  draw() {
    const { drafts } = this.store;
    setText(byId("drafts-count"), String(drafts.length));
    keyed(this.list, this.rows, drafts, ({ name }) => name, (one) => this.row(one), (row, one) => this.update(row, one));
  }

  row({ name, created, by }) {
    const discard = h("button", { class: "button button-quiet", type: "button", "data-act": "", "aria-label": `Discard ${name}`, onclick: () => this.discard(name) }, icon("destroy"), "Discard…");
    const go = h("button", { class: "link-like draft-waits", type: "button", onclick: () => this.goTo(name) }, "waits for your approval");
    return h(
      "li",
      { class: "kept-row" },
      h("span", { class: "name" }, name),
      h("span", { class: "quiet" }, "begun ", when(created), ` by ${you(by)}, `, h("span", { class: "draft-size" })),
      go,
      h("span", { class: "kept-acts" }, discard),
    );
  }

  update(row, { name, created, size: bytes, kept }) {
    setWhen(row.querySelector("time"), created);
    setText(row.querySelector(".draft-size"), `${size(bytes)}${kept ? ", kept from an earlier agent" : ""}`);
    show(row.querySelector(".draft-waits"), this.approvals(name).length > 0);
  }

  approvals(name) {
    return this.store.approvals.filter(({ agent, state }) => agent === name && state === "pending");
  }

  goTo(name) {
    const [one] = this.approvals(name);
    if (one) this.waiting.goTo(`approval:${one.id}`);
  }

  discard(name) {
    const off = this.actions.reason();
    if (off) return toast(`${off}: nothing was sent.`, "attention");
    return this.dialogs.discard(this.store.drafts.find((one) => one.name === name));
  }
}
