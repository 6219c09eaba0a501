// One card for each thing that waits. A card is made once; what is typed or chosen in it stays.

import { agentPath, ask } from "./api.js";
import { Approval } from "./approval.js";
import { Card } from "./card.js";
import { h, icon, keyed, setText } from "./dom.js";
import { Question } from "./question.js";
import { FAILED_BUILD } from "./standing.js";
import { toast } from "./toast.js";

class Quarantine extends Card {
  build() {
    this.side.append(this.operation("resume"));
  }

  words({ item }) {
    return `${sentence(item.quarantined || "It failed too often")} It is left alone until you resume it.`;
  }
}

class Build extends Card {
  build({ agent, item }) {
    const name = encodeURIComponent(agent);
    this.element.dataset.acts = "";
    this.side.append(h("a", { class: "button button-quiet", href: `/agents/${name}?tab=build` }, "Build output"));
    if (item.generation > 1) this.side.append(h("a", { class: "button button-quiet", href: `/agents/${name}?tab=config` }, "Roll back…"));
    this.side.append(this.operation("update", "Try again"));
  }

  words({ item }) {
    return item.last_error.replace(FAILED_BUILD, "") || item.last_error;
  }
}

class Login extends Card {
  build({ agent }) {
    const command = `hyperhive login ${agent}`;
    const copy = h("button", { class: "icon-button", type: "button", "aria-label": `Copy: ${command}`, title: "Copy" }, icon("copy"));
    copy.addEventListener("click", () => this.copy(copy, command));
    this.side.append(h("span", { class: "command" }, h("code", {}, command), copy));
  }

  words() {
    return "Claude has no usable login here. Type this on the hive's machine:";
  }

  async copy(button, command) {
    try {
      await navigator.clipboard.writeText(command);
    } catch {
      return toast("The browser does not let this page copy; select the command instead.", "attention");
    }
    button.replaceChildren(icon("check"));
    toast("Copied.");
    setTimeout(() => button.replaceChildren(icon("copy")), 2000);
  }
}

const MOST = 12; // names on one card

const TOGETHER = {
  quarantine: ["resume", "play", "Resume", (item) => `${sentence(item.quarantined || "They failed too often")} They are left alone until you resume them.`],
  build: ["update", "rebuild", "Rebuild", (item) => item.last_error.replace(FAILED_BUILD, "") || item.last_error],
  login: [null, null, null, () => "Claude has no usable login in these. Type hyperhive login NAME for each on the hive's machine."],
};

/** One card for several agents with the same trouble. */
class Alike extends Card {
  build({ kind }) {
    const [verb, sign, label] = TOGETHER[kind];
    this.element.dataset.alike = "";
    this.shown = new Map();
    this.names = h("span", { class: "card-names" });
    this.head.append(this.names);
    this.rest = h("span", { class: "card-rest" });
    this.head.append(this.rest);
    if (!verb) return;
    this.label = h("span");
    this.side.append(h("button", { class: "button", type: "button", "data-act": "", onclick: () => this.each(verb) }, icon(sign), this.label));
    this.verb = label;
  }

  update(item) {
    super.update(item);
    const names = item.of.map(({ agent }) => agent);
    keyed(this.names, this.shown, names.slice(0, MOST), (name) => name, (name) => h("a", { class: "name", href: `/agents/${encodeURIComponent(name)}` }, name), () => {});
    setText(this.rest, names.length > MOST ? `and ${names.length - MOST} more` : "");
    if (this.label) setText(this.label, `${this.verb} all ${names.length}`);
  }

  words({ kind, of: [{ item }] }) {
    return TOGETHER[kind][3](item);
  }

  /** All are asked; a refusal says which. */
  async each(verb) {
    const off = this.actions.reason();
    if (off) return toast(`${off}: nothing was sent.`, "attention");
    const tries = this.item.of.map(({ agent }) => ask("POST", agentPath(agent, `/${verb}`)).catch((error) => toast(error.message, "fault")));
    await Promise.all(tries);
  }
}

const KINDS = { approval: Approval, question: Question, quarantine: Quarantine, build: Build, login: Login };

/** `text` with a full stop. */
const sentence = (text) => (/[.!?…]$/.test(text.trim()) ? text.trim() : `${text.trim()}.`);

/** The card for `item`. */
export function cardOf(item, parts) {
  return new (item.of ? Alike : KINDS[item.kind] ?? Card)(item, parts);
}
