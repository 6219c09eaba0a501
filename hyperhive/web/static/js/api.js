// Requests to the hive. A refusal is an Error whose message is the hive's own sentence.

let over = () => {};

/** Call `listener` when an answer says that the session is over. */
export function onSessionOver(listener) {
  over = listener;
}

/** Ask the hive; JSON or text comes back, `heard` gets the headers. Throws with one sentence for the operator. */
export async function ask(method, path, body, heard = () => {}) {
  const options = { method, cache: "no-store", headers: { Accept: "application/json, text/plain" } };
  if (body !== undefined) {
    options.body = JSON.stringify(body);
    options.headers["Content-Type"] = "application/json";
  }
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Error("The hive cannot be reached; nothing was sent. Try again when the connection is back.");
  }
  if (response.status === 401) {
    over();
    throw new Error("The session is over; log in again.");
  }
  if (!response.ok) throw new Error(await problem(response));
  heard(response.headers);
  if (response.status === 204) return null;
  const json = (response.headers.get("content-type") ?? "").includes("json");
  return json ? await response.json() : await response.text();
}

async function problem(response) {
  try {
    const { detail, title } = await response.json();
    return detail || title || `The hive answered ${response.status}.`;
  } catch {
    return `The hive answered ${response.status} without a reason; its log may have one.`;
  }
}

export const agentPath = (name, rest = "") => `/api/agents/${encodeURIComponent(name)}${rest}`;
