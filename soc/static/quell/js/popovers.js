// Dialogs and popovers are opened by the browser itself (popovertarget, command). This adds what it
// leaves out: the first field gets the focus, and browsers without `command` still open dialogs.
document.addEventListener("click", (event) => {
  const opener = event.target.closest("[commandfor]");
  if (!opener || "commandForElement" in HTMLButtonElement.prototype) return;
  const dialog = document.getElementById(opener.getAttribute("commandfor"));
  if (opener.getAttribute("command") === "show-modal") dialog?.showModal();
  if (opener.getAttribute("command") === "close") dialog?.close();
});

document.addEventListener("toggle", (event) => {
  if (event.newState !== "open" || !event.target.matches?.("[popover]")) return;
  const first = event.target.querySelector("[data-first], button, input:not([type=hidden]), a, select");
  first?.focus();
}, true);

// A choice in a facet is the whole form: send it. What is empty or the default stays out of the address.
document.addEventListener("change", (event) => {
  const form = event.target.closest("form[data-send-on-change]");
  if (form && event.target.matches("input[type=radio], input[type=checkbox], select")) form.requestSubmit();
});

document.addEventListener("formdata", (event) => {
  if (!event.target.matches("form[data-send-on-change]")) return;
  for (const [name, value] of [...event.formData.entries()]) {
    if (value === "" || (name === "status" && value === "open")) event.formData.delete(name);
  }
});
