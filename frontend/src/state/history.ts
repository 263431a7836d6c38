// A page's state, kept in step with the address behind the #.
import { useCallback, useLayoutEffect, useRef, useState } from "preact/hooks";
import { parse, write, type Fields } from "./fields";

/** Milliseconds after a step until the address says so: browsers take their time over it, and limit how often. */
const SETTLES = 60;

/** Steps replace the entry in the history, choices add one. */
export type How = "push" | "replace";
export type Moves<T> = (change: Partial<T>, how?: How) => void;

/** Parts of the address that belong to others and stay as they are, by their names; left out: there are none. */
export type Others = (name: string) => boolean;

/** Where the names of an address begin with something of their own, since they share it with others. */
export interface Within {
  readonly prefix: string;
  readonly others: Others;
}

/** The state in the address, and how to change it. `fields`, `leave`, called before each change, and `others` stay the same. */
export function useAddress<T extends object>(fields: Fields<T>, leave?: () => void, others?: Others): [T, Moves<T>] {
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
      record(write(fields, next, othersNow(others)), how);
      take(next);
    },
    [fields, take, others],
  );
  return [address, move];
}

/** What the address says that belongs to others. */
export function othersNow(others: Others | undefined): readonly string[] {
  if (others === undefined) return [];
  const now = (pending?.hash ?? window.location.hash).replace(/^#/, "");
  return now.split("&").filter((part) => part !== "" && others(part.split("=")[0] ?? ""));
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
