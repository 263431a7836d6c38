// Parts of an explorer that are in its script, or come when they are first shown.
import type { FunctionComponent, VNode } from "preact";
import { useEffect, useState } from "preact/hooks";
import { FailedLoad } from "../../components/Messages";
import { reasonOf } from "../../state/load";

/** A part that is not in the page's script. */
export class Later<P> {
  /** null: not there yet. */
  there: FunctionComponent<P> | null = null;
  private asked: Promise<FunctionComponent<P>> | null = null;

  constructor(private readonly load: () => Promise<FunctionComponent<P>>) {}

  get(): Promise<FunctionComponent<P>> {
    if (this.asked === null) {
      this.asked = this.load().then((found) => (this.there = found));
      this.asked.catch(() => (this.asked = null));
    }
    return this.asked;
  }
}

export type Part<P> = FunctionComponent<P> | Later<P>;

export interface DrawnProps<P> {
  readonly part: Part<P>;
  readonly props: P;
  /** What stands in its place until it is there. */
  readonly wait: VNode;
}

/** Draws a part, once it is there. */
export function Drawn<P extends object>({ part, props, wait }: DrawnProps<P>): VNode {
  const [late, setLate] = useState<{ readonly of: Part<P>; readonly found: FunctionComponent<P> | string } | null>(null);
  const now = part instanceof Later ? (part.there ?? (late?.of === part ? late.found : null)) : part;
  useEffect(() => {
    if (!(part instanceof Later) || part.there !== null) return undefined;
    let wanted = true;
    const take = (found: FunctionComponent<P> | string): void => {
      if (wanted) setLate({ of: part, found });
    };
    part.get().then(take, (error: unknown) => take(reasonOf(error)));
    return () => {
      wanted = false;
    };
  }, [part]);
  if (now === null) return wait;
  if (typeof now === "string") return <FailedLoad what="A part of the page's script" reason={now} />;
  const Now = now;
  return <Now {...props} />;
}
