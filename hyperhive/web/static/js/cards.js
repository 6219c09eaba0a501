// One card for each thing that waits. A card is made once; what is typed or chosen in it stays.

import { Approval } from "./approval.js";
import { Card } from "./card.js";
import { h, icon } from "./dom.js";
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
  build() {
    this.side.append(this.operation("update"));
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

const KINDS = { approval: Approval, question: Question, quarantine: Quarantine, build: Build, login: Login };

/** `text` with a full stop. */
const sentence = (text) => (/[.!?…]$/.test(text.trim()) ? text.trim() : `${text.trim()}.`);

/** The card for `item`. */
export function cardOf(item, parts) {
  return new (KINDS[item.kind] ?? Card)(item, parts);
}
