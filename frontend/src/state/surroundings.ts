// The theme of what a page stands in: a notebook has its own, whatever the system's is.
import type { Theme } from "./address";

export interface Followed {
  /** What the user chose for the page itself; `system`: as the surroundings are. */
  readonly choose: (theme: Theme) => void;
  readonly end: () => void;
}

/** Keeps an element's theme that of its surroundings, by the colour that it stands on: every notebook says it in a way of its own. */
export function followTheme(element: HTMLElement): Followed {
  let chosen: Theme = "system";
  const fit = (): void => {
    element.dataset["theme"] = chosen === "system" ? around(element) : chosen;
  };
  const watch = new MutationObserver(fit);
  for (const one of [document.documentElement, document.body]) watch.observe(one, { attributes: true });
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  system.addEventListener("change", fit);
  return {
    choose(theme) {
      chosen = theme;
      fit();
    },
    end() {
      watch.disconnect();
      system.removeEventListener("change", fit);
    },
  };
}

function around(element: HTMLElement): "light" | "dark" {
  for (let at = element.parentElement; at !== null; at = at.parentElement) {
    const [red = 0, green = 0, blue = 0, alpha = 1] = getComputedStyle(at).backgroundColor.match(/[\d.]+/g)?.map(Number) ?? [];
    if (alpha > 0.5) return 0.299 * red + 0.587 * green + 0.114 * blue < 128 ? "dark" : "light";
  }
  return getComputedStyle(document.documentElement).colorScheme === "dark" ? "dark" : "light";
}
