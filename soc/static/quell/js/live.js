// Regions that can change by themselves say so: data-live="/where" data-every="1". They are asked
// again as long as they say it, with the ETag of what is shown (304: nothing is touched), never in
// a hidden tab, and not while somebody types in them. An answer replaces the region; when it no
// longer carries data-live, the asking ends by itself.
const timers = new WeakMap();
const tags = new WeakMap();

function later(region, seconds) {
  clearTimeout(timers.get(region));
  timers.set(region, setTimeout(() => ask(region), seconds * 1000));
}

function isBusy(region) {
  const active = document.activeElement;
  if (region.contains(active) && active.matches("input:not([type=checkbox]), textarea, select")) return true;
  return Boolean(region.querySelector("dialog[open], [popover]:popover-open"));
}

async function ask(region) {
  if (!region.isConnected) return;
  const every = Number(region.dataset.every || 3);
  if (document.hidden || isBusy(region)) {
    later(region, every);
    return;
  }
  const headers = { "HX-Request": "true", "HX-Target": region.id, "HX-Current-URL": location.href };
  const tag = tags.get(region) ?? region.dataset.tag;
  if (tag) headers["If-None-Match"] = tag;
  let failed = 0;
  try {
    const answer = await fetch(region.dataset.live, { headers, cache: "no-store", redirect: "manual" });
    if (answer.headers.get("HX-Redirect")) {
      location.assign(answer.headers.get("HX-Redirect"));
      return;
    }
    if (answer.status === 200) {
      swap(region, await answer.text(), answer.headers.get("ETag"));
      return;
    }
    if (answer.status !== 304) failed = 5;
  } catch {
    failed = 5;
  }
  mark(failed ? "lost" : "");
  later(region, Math.max(every, failed));
}

// Open <details> and the scroll position belong to the reader, not to the server.
function swap(region, html, tag) {
  mark("");
  const open = new Set([...region.querySelectorAll("details[open][id]")].map((details) => details.id));
  const page = new DOMParser().parseFromString(html, "text/html");
  const made = page.getElementById(region.id);
  if (!made) {
    later(region, Number(region.dataset.every || 3));
    return;
  }
  for (const details of made.querySelectorAll("details[id]")) if (open.has(details.id)) details.open = true;
  const focused = region.contains(document.activeElement) ? document.activeElement.id : "";
  region.replaceWith(made);
  // What else the answer brings for another place, as htmx would have taken it.
  for (const other of page.querySelectorAll("[hx-swap-oob][id]")) {
    other.removeAttribute("hx-swap-oob");
    document.getElementById(other.id)?.replaceWith(other);
  }
  if (tag) tags.set(made, tag);
  window.htmx?.process(made);
  if (focused) document.getElementById(focused)?.focus();
  begin(made);
  followUp(made.id);
}

// Parts of the page that tell of the same thing (data-follows="region") are read again when the
// region has changed, so that a page never contradicts itself.
async function followUp(id) {
  const followers = () => [...document.querySelectorAll(`[data-follows="${CSS.escape(id)}"][id]`)];
  if (!followers().length) return;
  const answer = await fetch(location.href, { cache: "no-store" }).catch(() => null);
  if (!answer?.ok || answer.redirected) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const follower of followers()) {
    const made = page.getElementById(follower.id);
    if (!made || isBusy(follower)) continue;
    follower.replaceWith(made);
    window.htmx?.process(made);
  }
}

function mark(state) {
  for (const light of document.querySelectorAll("[data-live-light]")) {
    if (state) light.dataset.state = state;
    else delete light.dataset.state;
    light.textContent = state ? "No answer, trying again" : "Live";
  }
}

function begin(root) {
  const regions = root.matches?.("[data-live]") ? [root] : [];
  for (const region of [...regions, ...root.querySelectorAll("[data-live]")]) {
    // What runs right now is asked about sooner the first time.
    if (!timers.has(region)) later(region, Number(region.dataset.every || 3) / 2);
  }
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  for (const region of document.querySelectorAll("[data-live]")) later(region, 0.2);
});
document.addEventListener("htmx:load", (event) => begin(event.detail.elt));
begin(document.body);
