// A page's state in the address of its document, behind the #.
import type { How, Keeper } from "./keeper";

/** Milliseconds after a step until the address says so: browsers take their time over it, and limit how often. */
const SETTLES = 60;

export class LocationKeeper implements Keeper {
  /** A step's address, on its way: written once the step's frame is on screen. */
  private pending: { readonly hash: string; readonly timer: number } | null = null;

  readonly read = (): string => this.pending?.hash ?? window.location.hash;

  readonly write = (hash: string, how: How): void => {
    if (how === "replace") {
      this.drop();
      this.pending = { hash, timer: window.setTimeout(() => this.settle(), SETTLES) };
      return;
    }
    this.settle();
    if (hash !== window.location.hash) writeAddress(hash, "pushState");
  };

  readonly follow = (changed: () => void): (() => void) => {
    const follow = (): void => {
      this.drop();
      changed();
    };
    window.addEventListener("hashchange", follow);
    window.addEventListener("popstate", follow);
    return () => {
      window.removeEventListener("hashchange", follow);
      window.removeEventListener("popstate", follow);
    };
  };

  private settle(): void {
    const hash = this.pending?.hash;
    this.drop();
    if (hash !== undefined) writeAddress(hash, "replaceState");
  }

  private drop(): void {
    if (this.pending !== null) clearTimeout(this.pending.timer);
    this.pending = null;
  }
}

/** Into the address bar, where there is one to write to: a page inside a notebook's cell may have none. */
function writeAddress(hash: string, how: "pushState" | "replaceState"): void {
  try {
    window.history[how](null, "", hash);
  } catch (error) {
    if (!(error instanceof DOMException)) throw error;
  }
}
