// Before first paint: the theme that was chosen on this device, so that nothing flashes.
try {
  const theme = localStorage.getItem("hyperhive.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // Storage may be forbidden; the system's theme holds.
}
