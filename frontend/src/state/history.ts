// A page's state, kept in step with the address behind the #.
import { useCallback, useLayoutEffect, useRef, useState } from "preact/hooks";
import { parse, write, type Fields } from "./fields";

/** Milliseconds after a step until the address says so: browsers take their time over it, and limit how often. */
const SETTLES = 60;

/** Steps replace the entry in the history, choices add one. */
export type How = "push" | "replace";
export type Moves<T> = (change: Partial<T>, how?: How) => void;

/** The state in the address, and how to change it. `fields` and `leave`, called before each change, stay the same. */
export function useAddress<T extends object>(fields: Fields<T>, leave?: () => void): [T, Moves<T>] {
  const [address, setAddress] = useState(() => parse(fields, window.location.hash));
  const current = useRef(address);
  const take = useCallback(
    (next: T) => {
      leave?.();
      current.current = next;
      setAddress(next);
    },
    [leave],
  );
  useLayoutEffect(() => {
    const follow = (): void => {
      drop();
      take(parse(fields, window.location.hash));
    };
    window.addEventListener("hashchange", follow);
    window.addEventListener("popstate", follow);
    return () => {
      window.removeEventListener("hashchange", follow);
      window.removeEventListener("popstate", follow);
    };
  }, [fields, take]);
  const move = useCallback<Moves<T>>(
    (change, how = "push") => {
      const next = { ...current.current, ...change };
      record(write(fields, next), how);
      take(next);
    },
    [fields, take],
  );
  return [address, move];
}

/** A step's address, on its way: written once the step's frame is on screen. */
let pending: { readonly hash: string; readonly timer: number } | null = null;

function record(hash: string, how: How): void {
  if (how === "replace") {
    drop();
    pending = { hash, timer: window.setTimeout(settle, SETTLES) };
    return;
  }
  settle();
  if (hash !== window.location.hash) writeAddress(hash, "pushState");
}

function settle(): void {
  const hash = pending?.hash;
  drop();
  if (hash !== undefined) writeAddress(hash, "replaceState");
}

function drop(): void {
  if (pending !== null) clearTimeout(pending.timer);
  pending = null;
}

/** Into the address bar, where there is one to write to: a page inside a notebook's cell may have none. */
function writeAddress(hash: string, how: "pushState" | "replaceState"): void {
  try {
    window.history[how](null, "", hash);
  } catch (error) {
    if (!(error instanceof DOMException)) throw error;
  }
}
