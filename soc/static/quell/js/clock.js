// The clock in the bar, and every age on the page, stay true while the page is open. The server's
// time counts, not this machine's: the offset is taken once from the clock's own markup.
const face = document.querySelector("[data-clock]");
const offset = face ? Date.parse(face.dateTime) - Date.now() : 0;

export const now = () => Date.now() + offset;

const units = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];

export function coarse(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  for (const [size, unit] of units) if (whole >= size) return `${Math.floor(whole / size)} ${unit}`;
  return "0 s";
}

export function inWords(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const at = units.findIndex(([size]) => whole >= size);
  if (at < 0) return "0 s";
  const [size, unit] = units[at];
  const first = `${Math.floor(whole / size)} ${unit}`;
  const next = units[at + 1];
  const second = next ? Math.floor((whole % size) / next[0]) : 0;
  return second ? `${first} ${second} ${next[1]}` : first;
}

function say(element) {
  const seconds = (now() - Date.parse(element.dataset.since)) / 1000;
  switch (element.dataset.words) {
    case "ago": return seconds >= 0 ? `${coarse(seconds)} ago` : `in ${coarse(-seconds)}`;
    case "length": return inWords(seconds);
    case "left": return seconds < 0 ? `${inWords(-seconds)} left` : "over";
    default: return coarse(seconds);
  }
}

function tick() {
  if (document.hidden) return;
  if (face) face.firstElementChild.textContent = new Date(now()).toISOString().slice(11, 19);
  for (const element of document.querySelectorAll("[data-since]")) {
    const text = say(element);
    if (element.textContent !== text) element.textContent = text;
  }
}

tick();
setInterval(tick, 1000);
document.addEventListener("visibilitychange", tick);
