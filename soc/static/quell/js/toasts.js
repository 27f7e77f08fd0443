// What was done says so for a moment; what failed stays until it is closed.
const shown = () => document.getElementById("toasts");

export function toast(text, tone = "") {
  const made = document.getElementById("toast-template")?.content.firstElementChild.cloneNode(true);
  if (!made) return;
  made.querySelector("[data-text]").textContent = text;
  if (tone === "error") {
    made.dataset.tone = "bad";
    made.setAttribute("role", "alert");
    made.querySelector("use").setAttribute("href", "#st-failed");
  }
  shown()?.append(made);
}

function watch(list) {
  for (const node of list) {
    if (node.nodeType === 1 && node.dataset.tone !== "bad") setTimeout(() => node.remove(), 6000);
  }
}

const toasts = shown();
if (toasts) {
  watch(toasts.children);
  new MutationObserver((changes) => changes.forEach((change) => watch(change.addedNodes)))
    .observe(toasts, { childList: true });
}

document.addEventListener("click", (event) => {
  event.target.closest("[data-close-toast]")?.closest(".toast").remove();
});

// An error page that htmx received is not swapped in: its sentence becomes a toast. After a
// conflict the panel is read again, so that the person sees what it has become.
document.addEventListener("htmx:responseError", (event) => {
  const { xhr } = event.detail;
  const page = new DOMParser().parseFromString(xhr.responseText, "text/html");
  const problem = page.querySelector("[data-problem]")?.textContent.trim();
  toast(problem || `Not done: the server answered ${xhr.status}.`, "error");
  if (xhr.status === 409) document.dispatchEvent(new CustomEvent("quell:again"));
});

document.addEventListener("htmx:sendError", () => {
  toast("Not done: the server did not answer. Nothing was changed by this page.", "error");
});

document.addEventListener("click", (event) => {
  if (!event.target.closest("[data-back]") || history.length < 2) return;
  event.preventDefault();
  history.back();
});
