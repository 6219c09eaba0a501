// The message flow: who wrote to whom. Events say that there is something new; the text is fetched.

import { ask } from "./api.js";
import { byId, h, icon, show } from "./dom.js";
import { systemWords, you } from "./events.js";
import { Follow } from "./scroll.js";
import { when } from "./time.js";

const KEPT = 400;
const LONG = 900;

export class Messages {
  /** @param only whose messages; null for everyone's. `wrote`: the operator has written. */
  constructor(messages, { only = null, onNews = () => {} } = {}) {
    this.only = only;
    this.onNews = onNews;
    this.wrote = messages.some(({ from }) => from === "operator");
    this.last = 0;
    this.list = byId("message-list");
    this.list.replaceChildren();
    this.follow = new Follow(byId("flow"), byId("flow-new"));
    this.add(messages, false);
  }

  add(messages, fresh) {
    const news = messages.filter(({ id }) => id > this.last);
    if (news.length === 0) return;
    this.list.append(...news.map((message) => messageItem(message, fresh)));
    this.last = news.at(-1).id;
    while (this.follow.following && this.list.childElementCount > KEPT) this.list.firstElementChild.remove();
    show(byId("message-none"), false);
    this.follow.grew();
  }

  /** An event told of a message; or the connection is back, and there may be some. */
  heard(event) {
    if (event && this.only && ![event.from, event.to].includes(this.only)) return;
    if (this.timer) return;
    this.timer = setTimeout(() => this.fetch(), 50);
  }

  async fetch() {
    const whose = this.only ? `&with=${encodeURIComponent(this.only)}` : "";
    try {
      const { messages } = await ask("GET", `/api/messages?after=${this.last}${whose}`);
      this.timer = null;
      this.add(messages, true);
      this.wrote ||= messages.some(({ from }) => from === "operator");
      this.onNews();
      if (messages.length >= 200) this.heard();
    } catch {
      // The next event, or the connection's return, asks again.
      this.timer = null;
    }
  }
}

function messageItem({ id, from, to, body, ts }, fresh) {
  const look = [to === "operator" && "to-you", from === "operator" && "from-you", from === "system" && "from-system", fresh && "fresh"];
  const text = h("div", { class: "message-body" }, from === "system" ? systemWords(body) : body);
  const head = h(
    "p",
    { class: "message-head" },
    h("span", { class: "name" }, you(from)),
    icon("arrow"),
    h("span", { class: "visually-hidden" }, "to"),
    h("span", { class: "name" }, you(to)),
    when(ts),
  );
  const item = h("li", { class: ["message", ...look].filter(Boolean).join(" "), "data-id": id }, head, text);
  if (body.length > LONG || body.split("\n").length > 12) item.append(unfold(text));
  return item;
}

function unfold(text) {
  text.classList.add("long");
  const button = h("button", { class: "link-like", type: "button", "aria-expanded": "false" }, "Show all");
  button.addEventListener("click", () => {
    const open = text.classList.toggle("long") === false;
    button.textContent = open ? "Show less" : "Show all";
    button.setAttribute("aria-expanded", String(open));
  });
  return button;
}
