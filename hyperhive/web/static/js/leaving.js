// Approvals that were decided elsewhere: their cards say who decided what, and go when nobody reads in them.

import { ask } from "./api.js";

const STAYS = 8000; // milliseconds that a told decision can be read
const AGAIN = 2000; // milliseconds until it is looked at again whether someone reads in it

export class Leaving {
  constructor(list) {
    this.list = list;
    this.items = new Map(); // key → {item, at}
  }

  has(key) {
    return this.items.has(key);
  }

  /** `cards` with those that were decided meanwhile still where they were; `waits`: keys of all that waits. */
  with(cards, waits) {
    for (const [key, card] of this.list.cards) {
      if (card.item.kind !== "approval") continue;
      if (waits.has(key) || card.mine) this.items.delete(key);
      else this.keep(key, card);
    }
    const all = [...cards];
    for (const { item, at } of this.items.values()) all.splice(Math.min(at, all.length), 0, item);
    return all;
  }

  keep(key, card) {
    if (!this.items.has(key)) {
      this.items.set(key, { item: card.item, at: [...this.list.list.children].indexOf(card.element) });
    }
    // What this page has sent is on its way: its answer says whether it counted.
    if (card.sending || card.told) return;
    card.told = true;
    this.tell(key, card);
  }

  async tell(key, card) {
    let decided = { state: "decided" };
    try {
      decided = (await ask("GET", `/api/approvals/${card.item.item.id}`)).approval;
    } catch {
      // That it waits no more is certain; by whom it was decided, the history tells.
    }
    card.settle(decided, () => this.drop(key));
    setTimeout(() => this.look(key, card), STAYS);
  }

  look(key, card) {
    if (!this.items.has(key)) return;
    if (card.read) setTimeout(() => this.look(key, card), AGAIN);
    else this.drop(key);
  }

  drop(key) {
    this.items.delete(key);
    const card = this.list.cards.get(key);
    if (card) card.mine = true;
    this.list.draw();
  }
}
