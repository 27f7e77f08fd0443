// The queue's own keys. The cursor is one row (data-cursor); it survives what comes and goes around
// it. With the panel open, moving the cursor moves the panel.
const rows = () => [...document.querySelectorAll("tr[data-row]")];
const panel = () => document.getElementById("panel")?.dataset.alert ? document.getElementById("panel") : null;
const boxOf = (row) => row?.querySelector("input[type=checkbox][name=alert]");

let anchor = null;

function current() {
  return document.querySelector("tr[data-row][data-cursor]")
    ?? document.querySelector('tr[data-row][aria-current="true"]');
}

function put(row, { open = false } = {}) {
  for (const other of document.querySelectorAll("tr[data-cursor]")) other.removeAttribute("data-cursor");
  if (!row) return;
  row.setAttribute("data-cursor", "");
  row.scrollIntoView({ block: "nearest" });
  if (open) row.querySelector("a[data-open]")?.click();
}

function move(step) {
  const all = rows();
  if (!all.length) return;
  const at = all.indexOf(current());
  const next = all[Math.min(all.length - 1, Math.max(0, at < 0 ? (step > 0 ? 0 : all.length - 1) : at + step))];
  put(next, { open: Boolean(panel()) });
}

function select(row, shift) {
  const box = boxOf(row);
  if (!box) return;
  const all = rows();
  const from = shift && anchor ? all.indexOf(anchor) : -1;
  if (from >= 0) {
    const [low, high] = [from, all.indexOf(row)].sort((a, b) => a - b);
    all.slice(low, high + 1).forEach((each) => { boxOf(each).checked = true; });
  } else {
    box.checked = !box.checked;
  }
  anchor = row;
  count();
}

const checked = () => document.querySelectorAll("input[name=alert]:checked").length;

function count() {
  const n = checked();
  for (const place of document.querySelectorAll("[data-selected-count]")) place.textContent = String(n);
  const all = document.querySelector("[data-select-all]");
  if (all) {
    all.checked = n > 0 && n === rows().length;
    all.indeterminate = n > 0 && n < rows().length;
  }
}

document.addEventListener("quell:key", (event) => {
  if (!document.querySelector("[data-queue], [data-list]") || document.querySelector("[popover]:popover-open")) return;
  const { key, shift } = event.detail;
  const row = current();
  const take = () => event.preventDefault();
  if (key === "j" || key === "k") {
    move(key === "j" ? 1 : -1);
    take();
  } else if (key === "Enter" && row && document.activeElement === document.body) {
    put(row, { open: true });
    take();
  } else if ((key === "x" || key === "X") && row) {
    select(row, shift || key === "X");
    take();
  } else if (["a", "e", "d"].includes(key) && row && !panel() && !checked()) {
    // No panel, nothing selected: the cursor's row is meant. Select it, then press the bar's button.
    select(row, false);
  }
});

document.addEventListener("change", (event) => {
  if (event.target.matches("[data-select-all]")) {
    rows().forEach((row) => { boxOf(row).checked = event.target.checked; });
    count();
  }
  if (event.target.matches("input[name=alert]")) count();
});

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-clear-selection]")) {
    document.querySelectorAll("input[name=alert]:checked").forEach((box) => { box.checked = false; });
    count();
    return;
  }
  const row = event.target.closest("tr[data-row]");
  if (!row || event.target.closest("a, button, input, label, select") || getSelection().toString()) return;
  put(row, { open: true });
});

// The row whose alert is in the panel is the current one, wherever the panel came from.
function follow() {
  const open = document.getElementById("panel")?.dataset.alert ?? "";
  for (const row of rows()) {
    if (open && row.dataset.row === open) {
      row.setAttribute("aria-current", "true");
      if (!row.hasAttribute("data-cursor")) put(row);
    } else {
      row.removeAttribute("aria-current");
    }
  }
}

document.addEventListener("htmx:afterRequest", () => setTimeout(count, 0));
document.addEventListener("htmx:afterSettle", (event) => {
  if (!document.querySelector("[data-queue]")) return;
  follow();
  count();
  const id = event.detail.target?.id;
  if (id !== "panel") return;
  const opened = panel();
  document.title = opened?.dataset.title ?? document.querySelector("[data-queue]").dataset.title;
  if (opened) opened.querySelector("[data-panel-body]")?.focus({ preventScroll: true });
  else current()?.querySelector("a[data-open]")?.focus({ preventScroll: true });
});

// After a conflict the panel shows what the alert has become.
document.addEventListener("quell:again", () => {
  const open = panel();
  if (open) window.htmx.ajax("GET", open.dataset.url, { target: "#panel", swap: "outerHTML" });
});

follow();
count();
