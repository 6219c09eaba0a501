// Times in words, all ticking from one timer. pages.py says the same on the server.

let skew = 0;
let held = null;

/** Take over the server's clock where ours is off by more than its header's resolution. */
export function setServerTime(header) {
  const difference = Date.parse(header ?? "") - Date.now();
  if (Number.isFinite(difference)) skew = Math.abs(difference) > 2000 ? difference : 0;
}

export const now = () => Date.now() + skew;

/** Let every time on the page stand at `moment`, as long as nobody knows what is; null lets them go on. */
export function hold(moment) {
  held = moment;
  tick();
}

/** Milliseconds as "12 s", "3 min", "2 h 5 min", "3 d". */
export function lasted(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  return `${Math.floor(hours / 24)} d`;
}

/** Bytes as "340 B", "12 kB", "4.8 MB". */
export function size(count) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = count;
  let at = 0;
  while (value >= 999.5 && at < units.length - 1) {
    value /= 1000;
    at += 1;
  }
  return `${at > 0 && value < 9.95 ? value.toFixed(1) : value.toFixed(0)} ${units[at]}`;
}

const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });

/** What a <time> of this mode says now. Modes: ago, for, until, clock. */
function words(mode, at) {
  const passed = (held ?? now()) - at;
  if (mode === "for") return lasted(passed);
  if (mode === "until") return passed >= 0 ? "now" : `in ${lasted(-passed)}`;
  if (mode === "clock") return clock.format(at);
  return passed < 1000 ? "now" : `${lasted(passed)} ago`;
}

/** A <time> that ticks. */
export function when(iso, mode = "ago") {
  const element = document.createElement("time");
  element.dataset.t = mode;
  setWhen(element, iso);
  return element;
}

/** Let a <time> tell another moment. */
export function setWhen(element, iso) {
  if (element.dateTime !== iso) {
    element.dateTime = iso;
    element.title = exact.format(Date.parse(iso));
  }
  tell(element);
}

function tell(element) {
  const text = words(element.dataset.t, Date.parse(element.dateTime));
  if (element.textContent !== text) element.textContent = text;
}

function tick() {
  if (document.hidden) return;
  for (const element of document.querySelectorAll("time[data-t]")) tell(element);
}

/** Start the one timer, and name exact times in the reader's own way. */
export function startTicking() {
  for (const element of document.querySelectorAll("time[data-t]")) {
    element.title = exact.format(Date.parse(element.dateTime));
  }
  tick();
  setInterval(tick, 1000);
  document.addEventListener("visibilitychange", tick);
}
