// How much waits: in the title, in the bar, on the tabs below.

import { byId, say, setText, show } from "./dom.js";

let before = null;

export function count(title, number) {
  const words = `${number} ${number === 1 ? "thing waits" : "things wait"} for you`;
  if (before !== null && number > before) say(`${words}.`);
  before = number;
  const whole = number ? `(${number}) ${title}` : title;
  if (document.title !== whole) document.title = whole;
  show(byId("waiting-count"), number > 0);
  setText(byId("waiting-number"), String(number));
  byId("waiting-count").title = words;
  for (const badge of document.querySelectorAll('[data-badge="waiting"]')) {
    show(badge, number > 0);
    setText(badge, String(number));
  }
}
