// The theme: the system's, light or dark; remembered on this device.

const KEY = "hyperhive.theme";
const NAMES = { auto: "System", light: "Light", dark: "Dark" };

export function theme() {
  return document.documentElement.dataset.theme ?? "auto";
}

export function setTheme(name) {
  if (name === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = name;
  try {
    if (name === "auto") localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, name);
  } catch {
    // Storage may be forbidden; the choice holds for this page.
  }
}

export const themes = Object.entries(NAMES);
