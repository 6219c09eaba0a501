// Notices that come and go without taking the focus. A fault stays until it is closed.

import { byId, h, icon } from "./dom.js";

const MOST = 4;

/** Show a notice. Tones: fine, working, attention, fault. */
export function toast(text, tone = "fine") {
  const shelf = byId("toasts");
  const close = h("button", { class: "icon-button", type: "button", "aria-label": "Close notice" }, icon("close"));
  const element = h("div", { class: `toast fresh tone-${tone}` }, icon(tone), h("p", {}, text), close);
  close.addEventListener("click", () => element.remove());
  shelf.append(element);
  while (shelf.childElementCount > MOST) shelf.firstElementChild.remove();
  if (tone !== "fault") leave(element);
}

function leave(element) {
  let timer = setTimeout(() => element.remove(), 6000);
  element.addEventListener("pointerenter", () => clearTimeout(timer));
  element.addEventListener("pointerleave", () => {
    timer = setTimeout(() => element.remove(), 3000);
  });
}
