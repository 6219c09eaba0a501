// A tool's use as one readable line: its short name and what matters of its input. The whole input unfolds.

const OURS = /^mcp__hyperhive__/;

const first = (text) => String(text ?? "").trim().split("\n")[0];

/** Tool → the words for its input. */
const SAID = {
  Bash: ({ command }) => command,
  Read: ({ file_path: path, offset, limit }) => path && `${path}${offset ? `, from line ${offset}` : ""}${limit ? `, ${limit} lines` : ""}`,
  Write: ({ file_path: path, content }) => path && `${path}${content ? `, ${lines(content)}` : ""}`,
  Edit: ({ file_path: path }) => path,
  MultiEdit: ({ file_path: path }) => path,
  NotebookEdit: ({ notebook_path: path }) => path,
  Glob: ({ pattern, path }) => pattern && `${pattern}${path ? ` in ${path}` : ""}`,
  Grep: ({ pattern, path, glob }) => pattern && `${pattern}${path || glob ? ` in ${[path, glob].filter(Boolean).join(" ")}` : ""}`,
  WebFetch: ({ url }) => url,
  WebSearch: ({ query }) => query,
  TodoWrite: ({ todos }) => Array.isArray(todos) && `${todos.length} items`,
  send: ({ to, body }) => to && `to ${to === "operator" ? "you" : to}: ${first(body)}${String(body).trim().includes("\n") ? " …" : ""}`,
  recv: ({ wait_seconds: wait }) => (wait ? `for up to ${wait} s` : "what is there now"),
  ask_operator: ({ question }) => question,
};

function lines(text) {
  const count = String(text).replace(/\n$/, "").split("\n").length;
  return `${count} ${count === 1 ? "line" : "lines"}`;
}

/** The tool's name as one reads it. */
export const toolName = (tool) => String(tool ?? "").replace(OURS, "").replace(/^mcp__/, "").replaceAll("__", " · ");

/**
 * {line, whole}: one line, and what unfolds below it; whole is null where the line says it all.
 * Input that was cut on its way is no JSON: it stays as it is.
 */
export function toolUse(tool, text) {
  const input = parsed(text);
  if (input === null) return split(text, null);
  const keys = Object.keys(input);
  const said = SAID[toolName(tool)]?.(input);
  const words = said || keys.map((key) => `${key}: ${short(input[key])}`).join(", ") || "without input";
  const alone = said && keys.filter((key) => key !== "description").length === 1;
  return split(String(words), alone ? null : spread(input));
}

/** Input as terms and values, each value as it was written. */
function spread(input) {
  return Object.entries(input).map(([key, value]) => {
    const text = typeof value === "string" ? value : JSON.stringify(value, null, 2);
    return text.includes("\n") ? `${key}:\n${text}` : `${key}: ${text}`;
  }).join("\n");
}

function split(words, whole) {
  const text = words.trim();
  const line = text.replace(/\s*\n\s*/g, " ↵ ");
  return { line, whole: whole ?? (text === line ? null : text) };
}

/** What one of the hive's own tools answered, as words; null where the text is better left as it is. */
export function toolAnswer(tool, text) {
  const answer = OURS.test(tool ?? "") ? parsed(text) : null;
  if (answer === null) return null;
  return Object.entries(answer).filter(([, value]) => value !== null).map(([key, value]) => `${key}: ${short(value)}`).join(", ");
}

function parsed(text) {
  try {
    const input = JSON.parse(text);
    return typeof input === "object" && input !== null && !Array.isArray(input) ? input : null;
  } catch {
    return null;
  }
}

const short = (value) => (typeof value === "string" ? first(value) : JSON.stringify(value)).slice(0, 120);

const BLOCK = /^\[message \d+ from ([a-z0-9-]+) at [^\]]+\]((?:\n> .*|\n>)+)$/;
const EVENT = /^\[event \d+ at [^\]]+\] (.*)$/;

/** The prompt of a turn as [who, what] pairs, what an event says still as it was sent; null: it has another form. */
export function woken(text) {
  const parts = text.split("\n\n").map((part) => BLOCK.exec(part) ?? EVENT.exec(part));
  const found = parts.filter(Boolean).map((part) => (part.length === 3 ? [part[1], unquoted(part[2])] : ["system", part[1]]));
  return found.length ? found : null;
}

const unquoted = (text) => text.slice(1).split("\n").map((line) => line.replace(/^> ?/, "")).join("\n");
