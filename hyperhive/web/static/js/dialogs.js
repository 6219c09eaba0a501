// Spawn, destroy, keys, and the end of a session. What destroys wants the name typed.

import { agentPath, ask } from "./api.js";
import { h, icon, setAttr, setText } from "./dom.js";
import { toast } from "./toast.js";

const NAME = /^[a-z][a-z0-9-]{0,30}$/;
const RESERVED = new Set(["operator", "system", "hive", "all"]);

export class Dialogs {
  constructor(store) {
    this.store = store;
  }

  /** Show a dialog made of a form; it is gone from the page when it closes. */
  open(title, content, { name = "" } = {}) {
    const id = `dialog-${name}`;
    const heading = h("h2", { id }, title);
    const form = h("form", { class: "sheet", method: "dialog", noValidate: true }, heading, content);
    const dialog = h("dialog", { class: name, "aria-labelledby": id }, form);
    dialog.addEventListener("close", () => dialog.remove());
    document.body.append(dialog);
    dialog.showModal();
    return { dialog, form };
  }

  spawn() {
    const text = "It gets a container of its own and starts at once. The manager is told.";
    this.naming({ title: "Spawn an agent", text, verb: "Spawn", slug: "spawn", path: "/api/agents" });
  }

  draft() {
    const text = "It gets a config repository and a state folder, and no container. The manager edits and commits, and asks you to approve what it became.";
    this.naming({ title: "Begin a draft", text, verb: "Begin", slug: "draft", path: "/api/drafts" });
  }

  /** Ask for the name of something new. */
  naming({ title, text, verb, slug, path }) {
    const { input, error, field } = named("Name", `${slug}-name`, "1 to 31 of a-z, 0-9 and -, beginning with a letter.");
    const go = h("button", { class: "button button-accent", type: "submit" }, verb);
    const { dialog, form } = this.open(title, [h("p", {}, text), field, acts(go)], { name: slug });
    const again = h("p", { role: "status" });
    field.append(again);
    input.addEventListener("input", () => {
      refuse(input, error, input.value ? this.badName(input.value) : null);
      const kept = this.store.kept.some((one) => one.name === input.value);
      setText(again, kept ? `The folders of an earlier ${input.value} are kept; it takes them up again.` : "");
    });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const bad = this.badName(input.value);
      refuse(input, error, bad);
      if (!bad) send({ dialog, go, input, error }, () => ask("POST", path, { name: input.value }));
    });
    input.focus();
  }

  /** Why `name` cannot name a new agent; null when it can. The hive has the last word. */
  badName(name) {
    if (!name) return "Type a name.";
    if (RESERVED.has(name)) return `${name} is reserved; choose another name.`;
    if (this.store.agents.has(name)) return `There is already an agent ${name}; choose another name.`;
    if (this.store.drafts.some((one) => one.name === name)) return `There is already a draft ${name}; choose another name.`;
    if (name.length > 31) return `That name has ${name.length} characters; 31 are allowed.`;
    if (!/^[a-z]/.test(name)) return "Begin with a letter from a to z.";
    return NAME.test(name) ? null : "Use only a-z, 0-9 and -.";
  }

  destroy(name) {
    const purge = h("input", { type: "checkbox", id: "destroy-purge" });
    const text = "Its container ends now, with whatever it was doing. Its folders (state, config, login) are kept: you can revive it.";
    this.typed(name, "Destroy", [h("p", {}, text), h("label", { class: "check" }, purge, "Delete its folders too. This cannot be undone.")], () => {
      const query = purge.checked ? "?purge=true" : "";
      return ask("DELETE", `${agentPath(name)}${query}`);
    });
  }

  purge(name) {
    const text = "Deletes the folders it left: state, config, conversations and login. This cannot be undone.";
    this.typed(name, "Purge", [h("p", {}, text)], () => ask("POST", `/api/kept/${encodeURIComponent(name)}/purge`));
  }

  /** Ask once more before an agent goes back to generation `to`. */
  rollback(name, to, current) {
    const error = h("p", { class: "field-error", role: "alert" });
    const go = h("button", { class: "button button-accent", type: "submit" }, "Roll back");
    const now = current ? ` Generation ${current.number}, which runs now, stays in the list.` : "";
    const what = to.summary ? `: “${to.summary}”` : "";
    const text = `It restarts into generation ${to.number} as it was built (${to.commit.slice(0, 7)})${what}.${now}`;
    const { dialog, form } = this.open(`Roll ${name} back to generation ${to.number}?`, [h("p", {}, text), error, acts(go)], { name: "rollback" });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      send({ dialog, go, input: go, error }, () => ask("POST", agentPath(name, "/rollback"), { generation: to.number }));
    });
    go.focus();
  }

  discard({ name, kept }) {
    const text = kept
      ? "What was proposed in it is withdrawn. The folders of the earlier agent stay kept."
      : "Deletes its config and its state folder, and withdraws what was proposed in it. This cannot be undone.";
    this.typed(name, "Discard", [h("p", {}, text)], () => ask("DELETE", `/api/drafts/${encodeURIComponent(name)}`));
  }

  /** Ask for the name before something is destroyed. */
  typed(name, verb, content, request) {
    const slug = verb.toLowerCase();
    const { input, error, field } = named(`Type ${name} to confirm`, `${slug}-name`, "");
    const go = h("button", { class: "button button-fault", type: "submit", disabled: true }, icon("destroy"), verb);
    const { dialog, form } = this.open(`${verb} ${name}?`, [...content, field, acts(go)], { name: slug });
    input.addEventListener("input", () => {
      go.disabled = input.value !== name;
      refuse(input, error, null);
    });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (input.value === name) send({ dialog, go, input, error }, request);
    });
    input.focus();
  }

  keys(list) {
    const rows = list.flatMap(([keys, what]) => [
      h("dt", {}, keys.map((key) => h("kbd", {}, key))),
      h("dd", {}, what),
    ]);
    const close = h("button", { class: "button", type: "submit" }, "Close");
    const { form } = this.open("Keys", [h("dl", { class: "key-list" }, rows), h("p", { class: "hint" }, "Single letters rest while you type."), acts(null, close)], { name: "keys" });
    form.querySelector("button").focus();
  }

  /** The session is over: everything stays on the page, drafts stay in the tab. */
  over() {
    if (document.querySelector("dialog.over")) return;
    for (const open of document.querySelectorAll("dialog[open]")) open.close();
    const next = encodeURIComponent(location.pathname + location.search);
    const go = h("a", { class: "button button-accent", href: `/login?next=${next}` }, "Log in");
    const text = "The hive goes on; this page no longer hears from it. What you had typed is kept in this tab.";
    const { dialog } = this.open("Your session is over", [h("p", {}, text), go], { name: "over" });
    dialog.addEventListener("cancel", (event) => event.preventDefault());
    go.focus();
  }
}

function named(label, id, help) {
  const hint = h("p", { class: "hint", id: `${id}-hint` }, help);
  const error = h("p", { class: "field-error", id: `${id}-error`, role: "alert" });
  const input = h("input", {
    id,
    class: "mono",
    autocomplete: "off",
    autocapitalize: "none",
    spellcheck: false,
    maxLength: 64,
    "aria-describedby": `${id}-hint ${id}-error`,
  });
  return { input, error, field: h("div", { class: "field" }, h("label", { htmlFor: id }, label), input, help ? hint : null, error) };
}

function acts(go, close = h("button", { class: "button", type: "button", onclick: (event) => event.target.closest("dialog").close() }, "Cancel")) {
  return h("div", { class: "sheet-acts" }, close, go);
}

function refuse(input, error, reason) {
  setText(error, reason ?? "");
  setAttr(input, "aria-invalid", reason ? "true" : null);
}

/** Send; on refusal say why in place and keep what was typed. */
async function send({ dialog, go, input, error }, request) {
  go.disabled = true;
  try {
    const answer = await request();
    dialog.close();
    if (answer?.note) toast(answer.note);
  } catch (failure) {
    refuse(input, error, failure.message);
    go.disabled = false;
    input.focus();
  }
}
