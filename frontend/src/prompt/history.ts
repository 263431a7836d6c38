// The prompt page's state, kept in step with the address.
import { useCallback, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { How } from "../history";
import type { PromptPart } from "../payload";
import { parse, write, type PromptAddress } from "./address";

/** Milliseconds after the last step until the address says so: browsers limit how often it may change. */
const SETTLES = 120;

export type PromptMove = (change: Partial<PromptAddress>, how?: How) => void;

export function usePromptAddress(part: PromptPart): [PromptAddress, PromptMove] {
  const [address, setAddress] = useState(() => parse(window.location.hash, part));
  const current = useRef(address);
  const timer = useRef(0);
  const take = useCallback((next: PromptAddress) => {
    current.current = next;
    setAddress(next);
  }, []);
  useLayoutEffect(() => {
    const follow = (): void => {
      clearTimeout(timer.current);
      take(parse(window.location.hash, part));
    };
    window.addEventListener("hashchange", follow);
    window.addEventListener("popstate", follow);
    return () => {
      window.removeEventListener("hashchange", follow);
      window.removeEventListener("popstate", follow);
    };
  }, [part, take]);
  const move = useCallback<PromptMove>(
    (change, how = "push") => {
      const next = { ...current.current, ...change };
      clearTimeout(timer.current);
      const hash = write(next, part);
      if (how === "push" && hash !== window.location.hash) record(hash, "pushState");
      else timer.current = window.setTimeout(() => record(hash, "replaceState"), SETTLES);
      take(next);
    },
    [part, take],
  );
  return [address, move];
}

/** Into the address bar, where there is one to write to: a page inside a notebook's cell may have none. */
function record(hash: string, how: "pushState" | "replaceState"): void {
  try {
    window.history[how](null, "", hash);
  } catch (error) {
    if (!(error instanceof DOMException)) throw error;
  }
}
