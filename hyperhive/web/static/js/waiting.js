// "Waiting for you": one ranked list of everything only a human can settle.

import { cardOf } from "./cards.js";
import { count as tell } from "./count.js";
import { byId, keyed, setText, show } from "./dom.js";
import { Leaving } from "./leaving.js";
import { first, gathered, waiting } from "./standing.js";

/** Bring a card to the eyes and the keyboard. */
function go(card) {
  if (!card) return false;
  card.focus({ preventScroll: true });
  // A card that is higher than the screen shows its beginning.
  card.scrollIntoView({ block: card.offsetHeight > innerHeight / 2 ? "start" : "nearest" });
  return true;
}

const ROOM = () => (innerWidth < 700 ? 5 : 7);

const count = (cards) => cards.reduce((sum, { of }) => sum + (of?.length ?? 1), 0);

export class Waiting {
  /** @param only the agent whose page this is; null for the hive. */
  constructor({ store, actions, title, only = null }) {
    this.leaving = new Leaving(this);
    this.store = store;
    this.actions = actions;
    this.title = title;
    this.only = only;
    this.all = false;
    this.cards = new Map();
    this.kept = new Map();
    this.list = byId("waiting-list");
    this.list.replaceChildren();
    this.more = byId("waiting-more");
    this.more.addEventListener("click", () => {
      this.all = !this.all;
      this.draw();
    });
    store.on(() => this.draw());
    this.draw();
  }

  draw() {
    const everything = waiting(this.store);
    const items = this.only ? everything.filter((item) => item.agent === this.only) : everything;
    const held = (key) => this.held(key);
    const cards = this.leaving.with(gathered(items, held), new Set(everything.map(({ key }) => key)));
    const shown = this.all ? cards : first(cards, ROOM(), held);
    const focused = this.list.contains(document.activeElement) ? this.focusedCard() : null;
    keyed(this.list, this.kept, shown, (item) => item.key, (item) => this.make(item), (_, item) => this.cards.get(item.key).update(item));
    for (const key of this.cards.keys()) if (!this.kept.has(key)) this.cards.delete(key);
    if (focused && !focused.isConnected) this.after(focused);
    show(byId("waiting-none"), items.length === 0 && cards.length === 0);
    show(byId("waiting-badge"), items.length > 0);
    setText(byId("waiting-badge"), String(items.length));
    const rest = count(cards) - count(shown);
    show(this.more, rest > 0 || (this.all && first(cards, ROOM(), held).length < cards.length));
    setText(this.more, rest > 0 ? `Show ${rest} more` : "Show fewer");
    tell(this.title, everything.length);
  }

  make(item) {
    const card = cardOf(item, { actions: this.actions, store: this.store });
    this.cards.set(item.key, card);
    return card.element;
  }

  /** A card that someone works on stays, wherever it ranks. */
  held(key) {
    return this.leaving.has(key) || (this.kept.get(key)?.matches(":focus-within") ?? false);
  }

  focusedCard() {
    return document.activeElement.closest(".card");
  }

  /** The card that had the focus was settled: the list keeps the focus, not the page's beginning. */
  after() {
    const [first] = this.list.children;
    (first ?? byId("waiting")).focus({ preventScroll: true });
  }

  /** Go to the next card that waits. */
  next() {
    const cards = [...this.list.children];
    const at = cards.indexOf(document.activeElement?.closest(".card"));
    return go(cards[(at + 1) % cards.length]);
  }

  /** Go to the card of what waits under `key`, wherever it ranks. */
  goTo(key) {
    const known = () => this.kept.get(key) ?? [...this.cards.values()].find(({ item }) => item.of?.some((one) => one.key === key))?.element;
    if (!known() && !this.all) {
      this.all = true;
      this.draw();
    }
    return go(known());
  }

  /** The approval whose card itself has the focus, not something in it. */
  card() {
    const found = this.approval();
    return found?.element === document.activeElement ? found : undefined;
  }

  /** The approval that has the focus. */
  approval() {
    const card = document.activeElement?.closest('.card[data-kind="approval"]');
    return [...this.cards.values()].find(({ element }) => element === card);
  }
}
