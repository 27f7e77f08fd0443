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

// What the reader did in the region stays: opened details, ticks set or taken away, text typed in.
function carry(region, made) {
  for (const details of region.querySelectorAll("details[id]")) {
    const twin = made.querySelector(`#${CSS.escape(details.id)}`);
    if (twin) twin.open = details.open;
  }
  for (const box of region.querySelectorAll("input[type=checkbox][name]")) {
    if (box.checked === box.defaultChecked) continue;
    const named = `input[name="${CSS.escape(box.name)}"][value="${CSS.escape(box.value)}"]`;
    const places = [...region.querySelectorAll(named)];
    const twins = made.querySelectorAll(named);
    if (twins.length === places.length) twins[places.indexOf(box)].checked = box.checked;
  }
  for (const field of region.querySelectorAll("textarea[id], input[id]:not([type=checkbox]):not([type=hidden])")) {
    const twin = field.value === field.defaultValue ? null : made.querySelector(`#${CSS.escape(field.id)}`);
    if (twin) twin.value = field.value;
  }
}

// The control in the new region that is what this one was in the old: the same id, else the same words
// and the same way in what has the same id around it.
function twinOf(element, region, made) {
  if (element.id) return made.querySelector(`#${CSS.escape(element.id)}`);
  const around = element.closest("[id]");
  const place = !around || around === region ? made : made.querySelector(`#${CSS.escape(around.id)}`);
  const tag = element.tagName.toLowerCase();
  const isAlike = (other) => other.textContent === element.textContent
    && other.getAttribute("href") === element.getAttribute("href")
    && other.getAttribute("value") === element.getAttribute("value");
  return [...(place ?? made).querySelectorAll(tag)].find(isAlike);
}

// A region that is replaced cannot be a live region itself: what it has to say is told beside it.
function tell(before, made) {
  const says = document.getElementById("live-says");
  if (says && made.dataset.says && made.dataset.says !== before.dataset.says) says.textContent = made.dataset.says;
}

// The scroll position and the focus belong to the reader, not to the server.
function swap(region, html, tag) {
  mark("");
  const page = new DOMParser().parseFromString(html, "text/html");
  const made = page.getElementById(region.id);
  if (!made) {
    later(region, Number(region.dataset.every || 3));
    return;
  }
  carry(region, made);
  const held = region.contains(document.activeElement) ? twinOf(document.activeElement, region, made) : null;
  region.replaceWith(made);
  tell(region, made);
  // What else the answer brings for another place, as htmx would have taken it.
  for (const other of page.querySelectorAll("[hx-swap-oob][id]")) {
    other.removeAttribute("hx-swap-oob");
    document.getElementById(other.id)?.replaceWith(other);
  }
  if (tag) tags.set(made, tag);
  window.htmx?.process(made);
  held?.focus({ preventScroll: true });
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
