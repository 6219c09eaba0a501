// A list that follows its end while one reads there, and holds still while one reads further up.

import { show } from "./dom.js";

export class Follow {
  constructor(scroller, button) {
    this.scroller = scroller;
    this.button = button;
    this.following = true;
    scroller.addEventListener("scroll", () => this.scrolled(), { passive: true });
    button.addEventListener("click", () => this.end());
    new ResizeObserver(() => this.following && this.end()).observe(scroller);
  }

  scrolled() {
    const { scrollHeight, scrollTop, clientHeight } = this.scroller;
    if (clientHeight === 0) return;
    this.following = scrollHeight - scrollTop - clientHeight < 32;
    if (this.following) show(this.button, false);
  }

  /** Something was appended. */
  grew() {
    if (this.following) this.end();
    else show(this.button, true);
  }

  end() {
    this.following = true;
    show(this.button, false);
    // Twice: what content-visibility had guessed is measured in between.
    this.scroller.scrollTop = this.scroller.scrollHeight;
    requestAnimationFrame(() => {
      if (this.following) this.scroller.scrollTop = this.scroller.scrollHeight;
    });
  }
}
