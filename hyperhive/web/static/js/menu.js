// The one menu: beside its button on a desk, a sheet from below on a phone (narrow.css).

import { h, icon } from "./dom.js";

let menu = null;
let opener = null;

/**
 * Open a menu at `anchor`.
 * Items: {label, icon, run, reason?, note?, fault?} or null for a line; `reason` says why it cannot be pressed.
 */
export function openMenu(anchor, title, items) {
  closeMenu();
  opener = anchor;
  menu = h("div", { class: "menu", popover: "auto", role: "menu", "aria-label": title });
  if (title) menu.append(h("p", { class: "menu-title", "aria-hidden": "true" }, title));
  for (const item of items) menu.append(item ? entry(item) : h("hr", { role: "separator" }));
  menu.addEventListener("keydown", move);
  menu.addEventListener("toggle", (event) => {
    if (event.newState === "closed") event.target.remove();
  });
  document.body.append(menu);
  menu.showPopover();
  beside(anchor);
  menu.querySelector(".menu-item:not([aria-disabled])")?.focus();
}

function closeMenu() {
  menu?.remove();
  menu = null;
}

function entry(item) {
  const element = h(
    "button",
    {
      class: `menu-item${item.fault ? " is-fault" : ""}`,
      type: "button",
      role: item.checked === undefined ? "menuitem" : "menuitemradio",
      "aria-checked": item.checked === undefined ? undefined : String(item.checked),
      "aria-disabled": item.reason ? "true" : undefined,
      title: item.reason,
      tabIndex: -1,
      onclick: () => choose(item),
    },
    icon(item.checked ? "check" : item.icon),
    item.label,
  );
  if (item.note || item.reason) element.append(h("span", { class: "menu-note" }, item.reason ?? item.note));
  return element;
}

function choose(item) {
  if (item.reason) return;
  const back = opener;
  closeMenu();
  back?.focus({ preventScroll: true });
  item.run();
}

function beside(anchor) {
  const { left, right, top, bottom } = anchor.getBoundingClientRect();
  const { width, height } = menu.getBoundingClientRect();
  const fits = bottom + 4 + height < innerHeight - 8;
  const x = left + width < innerWidth - 8 ? left : right - width;
  menu.style.left = `${Math.max(8, x)}px`;
  menu.style.top = `${fits ? bottom + 4 : Math.max(8, top - height - 4)}px`;
}

function move(event) {
  const items = [...menu.querySelectorAll(".menu-item")];
  const at = items.indexOf(document.activeElement);
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 }[event.key];
  if (to !== undefined) {
    event.preventDefault();
    items.at(to % items.length)?.focus();
  } else if (event.key === "Escape" || event.key === "Tab") {
    event.preventDefault();
    event.stopPropagation();
    const back = opener;
    closeMenu();
    back?.focus({ preventScroll: true });
  }
}
