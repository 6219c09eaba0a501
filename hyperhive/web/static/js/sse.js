// Server-sent events over fetch: unlike EventSource it shows comments and status codes.

/**
 * The frames of a streaming response: {id, event, data}, and {event: null} for a bare comment.
 */
export async function* frames(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const text = (rest + value).replaceAll("\r\n", "\n");
      const held = text.endsWith("\r") ? 1 : 0;
      const blocks = text.slice(0, text.length - held).split("\n\n");
      rest = blocks.pop() + text.slice(text.length - held);
      for (const block of blocks) yield frame(block);
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

function frame(block) {
  const data = [];
  let id = null;
  let event = null;
  for (const line of block.split("\n")) {
    const colon = line.indexOf(":");
    if (colon === 0) continue;
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "data") data.push(value);
    else if (field === "event") event = value;
    else if (field === "id") id = value;
  }
  if (data.length) event ??= "message";
  return { id, event, data: data.join("\n") };
}

/** Milliseconds to wait before try `n` (0, 1, 2 …): doubling to 15 s, with jitter. */
export function backoff(n) {
  return Math.min(15000, 500 * 2 ** n) * (0.5 + Math.random() / 2);
}
