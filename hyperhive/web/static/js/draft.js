// What is being typed, kept in this tab over reloads and a login.

export function draft(name) {
  const key = `hyperhive.draft.${name}`;
  const attempt = (run, otherwise) => {
    try {
      return run() ?? otherwise;
    } catch {
      return otherwise; // Storage may be forbidden; the text is still in its field.
    }
  };
  return {
    get: () => attempt(() => sessionStorage.getItem(key), ""),
    set: (text) => attempt(() => (text ? sessionStorage.setItem(key, text) : sessionStorage.removeItem(key))),
    clear: () => attempt(() => sessionStorage.removeItem(key)),
  };
}
