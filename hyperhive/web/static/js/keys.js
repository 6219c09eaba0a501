// The keyboard map. Single letters rest while one types and while a dialog is open.

import { typing } from "./dom.js";

const ALL = [
  [["?"], "This help"],
  [["/"], "Filter"],
  [["j"], "Next row, or turn"],
  [["k"], "Previous row, or turn"],
  [["Enter"], "Open or close the row, or the diff, in focus"],
  [["w"], "Next that waits for you"],
  [["o"], "Open or close the diff of the approval in focus"],
  [["a"], "Approve the approval in focus"],
  [["d"], "Deny it"],
  [["r"], "Ask for a revision"],
  [["m"], "Write a message"],
  [["Ctrl", "K"], "Go to or do anything by name"],
];

const EVERYWHERE = new Set(["?", "Enter", "Ctrl"]);

/** What the help shows of a page with these keys. */
export const help = (map) => ALL.filter(([[key]]) => EVERYWHERE.has(key) || key in map);

/** @param map key → () => boolean | void; false means: not handled here. */
export function listen(map, palette) {
  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && !event.altKey && event.key.toLowerCase() === "k") {
      event.preventDefault();
      palette.open();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (typing(event.target) || document.querySelector("dialog[open], .menu")) return;
    const run = map[event.key];
    if (run && run() !== false) event.preventDefault();
  });
}
