// Text to the clipboard.
import { say } from "../state/notice";

/** Copies a text and says so, or that the page may not. */
export async function copyAndSay(text: string, copied: string): Promise<void> {
  say((await copyText(text)) ? copied : "The browser does not let this page copy");
}

/** Returns whether it got there. A page opened from a file may be refused the clipboard, so an older way stands by. */
async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copySelection(text);
  }
}

function copySelection(text: string): boolean {
  const before = document.activeElement;
  const box = document.createElement("textarea");
  box.value = text;
  box.className = "unseen";
  document.body.append(box);
  box.select();
  try {
    return document.execCommand("copy");
  } finally {
    box.remove();
    if (before instanceof HTMLElement) before.focus({ preventScroll: true });
  }
}
