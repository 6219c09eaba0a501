// A list that follows its end while one reads there, and holds still while one reads further up.

import { show } from "./dom.js";

const NEAR = 32; // pixels from the end that still count as the end

export class Follow {
  constructor(scroller, button) {
    this.scroller = scroller;
    this.button = button;
    this.following = true;
    this.top = 0;
    scroller.addEventListener("scroll", () => this.scrolled(), { passive: true });
    button.addEventListener("click", () => this.end());
    // The content too: with content-visibility an element has its true height only once it was drawn.
    const grows = new ResizeObserver(() => this.following && this.end());
    grows.observe(scroller);
    for (const child of scroller.children) grows.observe(child);
  }

  /** Only who moves up leaves the end; what grows below does not count. */
  scrolled() {
    const { scrollHeight, scrollTop, clientHeight } = this.scroller;
    if (clientHeight === 0) return;
    if (scrollHeight - scrollTop - clientHeight < NEAR) this.following = true;
    else if (scrollTop < this.top) this.following = false;
    this.top = scrollTop;
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
    this.jump();
    requestAnimationFrame(() => this.following && this.jump());
  }

  jump() {
    this.scroller.scrollTop = this.scroller.scrollHeight;
    this.top = this.scroller.scrollTop;
  }
}
