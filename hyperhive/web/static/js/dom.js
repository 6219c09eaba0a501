// Small tools over the DOM. Text goes in as text, never as markup.

/** An element with properties, attributes (aria-*, data-*, role …) and children. */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) {
    if (value === undefined || value === null) continue;
    if (key === "class") element.className = value;
    else if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key in element && !key.includes("-")) element[key] = value;
    else element.setAttribute(key, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

export const icon = (name, extra = "") =>
  h("i", { class: `i i-${name}${extra ? ` ${extra}` : ""}`, "aria-hidden": "true" });

/** Set text, class, attribute or visibility only where it differs: what did not change is not touched. */
export function setText(element, value) {
  if (element.textContent !== value) element.textContent = value;
}

export function setClass(element, value) {
  if (element.className !== value) element.className = value;
}

export function setAttr(element, name, value) {
  if (value === null) element.removeAttribute(name);
  else if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

export function show(element, visible) {
  if (element.hidden === visible) element.hidden = !visible;
}

/** Put `node` before `next` without losing focus, scroll or selection in it, where the browser can. */
export function place(parent, node, next) {
  if (node.parentNode === parent && node.nextSibling === next) return;
  if (parent.moveBefore && node.isConnected && parent.isConnected) {
    parent.moveBefore(node, next);
    return;
  }
  const focused = node.contains(document.activeElement) ? document.activeElement : null;
  parent.insertBefore(node, next);
  focused?.focus({ preventScroll: true });
}

/**
 * Let `parent` hold one element per item, in order, keyed; make, update and drop only what changed.
 * `kept` is a Map from key to element that belongs to the caller.
 */
export function keyed(parent, kept, items, key, make, update) {
  const wanted = new Set(items.map(key));
  for (const [one, element] of kept) {
    if (wanted.has(one)) continue;
    // It may stand under another parent by now: then it moved, and is not gone.
    if (element.parentNode === parent) element.remove();
    kept.delete(one);
  }
  let next = parent.firstElementChild;
  for (const item of items) {
    const one = key(item);
    let element = kept.get(one);
    if (!element) {
      element = make(item);
      kept.set(one, element);
    }
    if (element === next) next = next.nextElementSibling;
    else place(parent, element, next);
    update(element, item);
  }
}

/** Whether single letters belong to a field now. */
export function typing(target) {
  return target instanceof HTMLElement && (target.isContentEditable || /^(input|textarea|select)$/i.test(target.tagName));
}

/** Say something to a screen reader, politely. */
export function say(text) {
  const place = document.getElementById("said");
  if (place) place.textContent = text;
}

export const byId = (id) => document.getElementById(id);
