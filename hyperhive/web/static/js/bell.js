// The switch of the browser's notifications: a button beside what waits, and an entry of the menu.

import { icon, setAttr, show } from "./dom.js";
import { toast } from "./toast.js";

/** state → [icon, label, title] */
const FACES = {
  off: ["hand", "Notify me", "Show what waits as a notification of the browser while you look elsewhere"],
  on: ["hand", "Mute", "Notifications are on; mute them"],
  muted: ["mute", "Unmute", "Notifications are muted"],
  denied: ["mute", "Notifications blocked", "The browser blocks them; allow them in its settings of this site"],
};

export class Bell {
  constructor(notices) {
    this.notices = notices;
    this.button = document.getElementById("notify");
    this.button?.addEventListener("click", () => this.press());
    notices.on(() => this.draw());
    this.draw();
  }

  press() {
    if (this.notices.state === "denied") return toast(`${FACES.denied[2]}.`, "attention");
    return this.notices.press();
  }

  draw() {
    if (!this.button) return;
    const { state } = this.notices;
    show(this.button, state in FACES);
    if (!(state in FACES) || this.button.dataset.state === state) return;
    const [sign, label, title] = FACES[state];
    this.button.dataset.state = state;
    this.button.replaceChildren(icon(sign), label);
    this.button.title = title;
    setAttr(this.button, "aria-pressed", state === "on" || state === "muted" ? String(state === "muted") : null);
  }

  /** The entry of the menu. */
  entry() {
    const { state } = this.notices;
    if (state === "unsupported") return { label: "Notifications", icon: "mute", reason: "Want HTTPS or loopback", run: () => {} };
    const [sign, label] = { off: ["hand", "Turn notifications on"], on: ["mute", "Mute notifications"], muted: ["hand", "Unmute notifications"], denied: ["mute", "Notifications blocked"] }[state];
    return { label, icon: sign, run: () => this.press() };
  }
}
