// Single keys press the visible button that names them: data-key="a" is pressed by a. So every key
// has a button, and a key can never do what the page does not show. They rest while a field has
// focus, while a dialog is open, and when switched off.
const OFF = "quell.singleKeys";

export const areOn = () => localStorage.getItem(OFF) !== "off";

const isVisible = (element) => element.checkVisibility?.() ?? element.offsetParent !== null;

function isTyping(target) {
  return target.closest?.("input:not([type=checkbox]):not([type=radio]), textarea, select, [contenteditable]");
}

function press(element, key) {
  const found = [...element.querySelectorAll(`[data-key="${CSS.escape(key)}"]`)]
    .find((button) => isVisible(button) && !button.disabled);
  if (found) found.click();
  return Boolean(found);
}

// Buttons outside the visible area of closed menus (the account menu's "All keys") are pressed too.
function pressHidden(key) {
  const found = document.querySelector(`[data-key="${CSS.escape(key)}"]`);
  if (!found || found.closest("[popover]") === null) return false;
  found.click();
  return true;
}

const scopes = () => {
  const open = document.querySelector("[popover]:popover-open");
  if (open) return [open];
  return [
    document.getElementById("bulkbar"),
    document.getElementById("panel"),
    document.getElementById("main"),
    document.getElementById("toasts"),
  ].filter((scope) => scope && isVisible(scope));
};

let awaiting = 0;

function go(key) {
  document.querySelector(`.nav [data-go="${CSS.escape(key)}"]`)?.click();
}

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
  if (!areOn() || isTyping(event.target) || document.querySelector("dialog[open]")) return;
  if (awaiting && Date.now() < awaiting) {
    awaiting = 0;
    go(event.key);
    return;
  }
  awaiting = 0;
  if (event.key === "g") {
    awaiting = Date.now() + 1500;
    return;
  }
  if (event.key === "/") {
    const field = document.querySelector("[data-filter]");
    if (!field) return;
    event.preventDefault();
    field.focus();
    field.select();
    return;
  }
  if (event.key === "Escape" && document.querySelector("[popover]:popover-open")) return;
  // A list answers first: j, k, x and Enter are about its cursor, and a, d, e about the cursor's row.
  const asked = new CustomEvent("quell:key", { detail: { key: event.key, shift: event.shiftKey }, cancelable: true });
  if (!document.dispatchEvent(asked)) {
    event.preventDefault();
    return;
  }
  if (event.key.length > 1 && event.key !== "Escape") return;
  if (scopes().some((scope) => press(scope, event.key)) || pressHidden(event.key)) event.preventDefault();
});

for (const box of document.querySelectorAll("[data-single-keys]")) {
  box.checked = areOn();
  box.addEventListener("change", () => localStorage.setItem(OFF, box.checked ? "on" : "off"));
}
