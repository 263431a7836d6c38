// Short words about what just happened, such as "copied"; gone by themselves.
import { Signal } from "./signal";

/** Milliseconds that a notice stays. */
const STAYS = 2500;

export const notice = new Signal<string | null>(null);
let timer = 0;

export function say(words: string): void {
  clearTimeout(timer);
  notice.set(words);
  timer = window.setTimeout(() => notice.set(null), STAYS);
}
