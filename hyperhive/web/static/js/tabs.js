// Tabs whose choice lives in the URL: links that need no reload.

import { byId, setAttr, show } from "./dom.js";

export class Tabs {
  /**
   * @param list the tablist; its links carry data-<key> and name the tab
   * @param key the query's name, e.g. "tab"
   * @param onChoose called with the name
   */
  constructor(list, key, onChoose = () => {}) {
    this.key = key;
    this.tabs = [...list.querySelectorAll('[role="tab"]')];
    this.onChoose = onChoose;
    for (const tab of this.tabs) tab.addEventListener("click", (event) => this.click(event, tab));
    list.addEventListener("keydown", (event) => this.move(event));
  }

  name(tab) {
    return tab.dataset[this.key];
  }

  /** Show `name`'s panel; without one by that name, the first. */
  choose(name, { keep = true } = {}) {
    const chosen = this.tabs.find((tab) => this.name(tab) === name) ?? this.tabs[0];
    for (const tab of this.tabs) {
      const selected = tab === chosen;
      setAttr(tab, "aria-selected", String(selected));
      setAttr(tab, "tabindex", selected ? null : "-1");
      show(byId(tab.getAttribute("aria-controls")), selected);
    }
    if (keep) remember(this.key, this.name(chosen));
    this.onChoose(this.name(chosen));
  }

  click(event, tab) {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
    event.preventDefault();
    this.choose(this.name(tab));
  }

  move(event) {
    const at = this.tabs.indexOf(document.activeElement);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: -1 }[event.key];
    if (at < 0 || to === undefined) return;
    event.preventDefault();
    const tab = this.tabs.at(to % this.tabs.length);
    tab.focus();
    this.choose(this.name(tab));
  }
}

/** Write a choice into the URL without leaving the page. */
export function remember(key, value) {
  const url = new URL(location.href);
  if (value) url.searchParams.set(key, value);
  else url.searchParams.delete(key);
  if (url.href !== location.href) history.replaceState(null, "", url);
}
