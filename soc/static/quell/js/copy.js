// Copy buttons: what is copied is what is shown, so indicators stay defanged. Fields take the
// opposite: what is pasted into a search is refanged.
import { toast } from "./toasts.js";

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
    toast("Copied.");
  } catch {
    toast("The browser did not allow copying. Select the text instead.", "error");
  }
});

const refang = (text) => text.trim()
  .replace(/\s?[[({](?:\.|dot)[\])}]\s?/gi, ".")
  .replace(/[[({]:[\])}]/g, ":")
  .replace(/[[({](?:@|at)[\])}]/gi, "@")
  .replace(/\bhxxp(s?)(?=:)/gi, "http$1");

document.addEventListener("paste", (event) => {
  const field = event.target.closest("[data-refang]");
  const text = event.clipboardData?.getData("text") ?? "";
  if (!field || refang(text) === text) return;
  event.preventDefault();
  field.setRangeText(refang(text), field.selectionStart, field.selectionEnd, "end");
});
