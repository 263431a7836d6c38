// The page: which feature is open, and its card drawn as the layout says.
import type { FunctionComponent, VNode } from "preact";
import { useCallback, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { parse, write, type Address } from "./address";
import { Card, tip } from "./card";
import { ActsHistogram } from "./components/ActsHistogram";
import { FeatureTables } from "./components/FeatureTables";
import { Header } from "./components/Header";
import { LogitsHistogram } from "./components/LogitsHistogram";
import { LogitsTable } from "./components/LogitsTable";
import { DeadFeature, FailedLoad, MissingFeature, UnknownComponent } from "./components/Messages";
import { Picker } from "./components/Picker";
import { SeqMultiGroup } from "./components/SeqMultiGroup";
import type { ComponentProps } from "./components/types";
import { number, percent, plural } from "./format";
import { Tooltip } from "./marks/Tooltip";
import type { ColumnSpec, FeatureView, LayoutSpec } from "./payload";
import type { Head, Loaded, Source } from "./source";
import { TokenTexts } from "./tokens";

/** What draws each component that a layout can name. */
const COMPONENTS: Readonly<Record<string, FunctionComponent<ComponentProps>>> = {
  FeatureTables,
  ActsHistogram,
  LogitsHistogram,
  LogitsTable,
  SeqMultiGroup,
};

/** Milliseconds after a step until the address says so. */
const STEP_SETTLES = 30;

type State =
  | { readonly kind: "open"; readonly view: FeatureView }
  | { readonly kind: "missing" }
  | { readonly kind: "loading" }
  | { readonly kind: "failed"; readonly reason: string };

export function App({ source }: { source: Source }): VNode {
  const { head } = source;
  const texts = useMemo(() => new TokenTexts(head.tokenBytes, head.special), [head]);
  const [address, move] = useAddress(head);
  const [finding, setFinding] = useState(false);
  const feature = address.feature ?? -1;
  const state = useFeature(source, feature);
  const go = useCallback((to: number) => move({ feature: to }, "push"), [move]);
  const step = useCallback((by: number) => move({ feature: neighbour(head, feature, by) }, "replace"), [move, head, feature]);
  useKeys(step, finding, setFinding);
  const known = useMemo(() => new Set(head.summary.feature), [head]);
  const about = useMemo(() => <Header head={head} />, [head]);
  const shared = {
    log: address.log,
    wrap: address.wrap,
    set: (change: Partial<Address>) => move(change, "replace"),
    go,
    has: (id: number) => known.has(id),
    href: (id: number) => write({ ...address, feature: id }),
  };
  return (
    <>
      <div class="bar">
        <span class="brand">sae_vis</span>
        <Picker head={head} texts={texts} feature={feature} open={finding} setOpen={setFinding} step={step} go={go} />
      </div>
      {about}
      <main>
        {state.kind === "missing" && <MissingFeature feature={feature} head={head} />}
        {state.kind === "loading" && <p class="message">Loading feature {feature}…</p>}
        {state.kind === "failed" && <FailedLoad what={`Feature ${feature}`} reason={state.reason} />}
        {state.kind === "open" && <FeatureCard view={state.view} head={head} texts={texts} shared={shared} />}
      </main>
      <Tooltip texts={texts} below={opensBelow(head.layout)} />
    </>
  );
}

function opensBelow({ columns }: LayoutSpec): boolean {
  return columns.every((column) => column.components.every((c) => c.options["hover_below"] !== false));
}

/** The state in the address, and how to change it. Steps replace the entry in the history, choices add one. */
function useAddress(head: Head): [Address, (change: Partial<Address>, how: "push" | "replace") => void] {
  const first = head.summary.feature[0] ?? 0;
  const read = useCallback((): Address => {
    const found = parse(window.location.hash);
    return { ...found, feature: found.feature ?? first };
  }, [first]);
  const [address, setAddress] = useState(read);
  const current = useRef(address);
  const take = useCallback((next: Address) => {
    current.current = next;
    tip.set(null);
    setAddress(next);
  }, []);
  useLayoutEffect(() => {
    const follow = (): void => {
      drop();
      take(read());
    };
    window.addEventListener("hashchange", follow);
    window.addEventListener("popstate", follow);
    return () => {
      window.removeEventListener("hashchange", follow);
      window.removeEventListener("popstate", follow);
    };
  }, [read, take]);
  const move = useCallback(
    (change: Partial<Address>, how: "push" | "replace") => {
      const next = { ...current.current, ...change };
      record(next, how);
      take(next);
    },
    [take],
  );
  return [address, move];
}

/** A step's address, on its way: written once the step's frame is on screen, since the browser takes its time over it. */
let pending: { readonly address: Address; readonly timer: number } | null = null;

function record(address: Address, how: "push" | "replace"): void {
  if (how === "replace") {
    drop();
    pending = { address, timer: window.setTimeout(settle, STEP_SETTLES) };
    return;
  }
  settle();
  writeAddress(address, "pushState");
}

function settle(): void {
  const address = pending?.address;
  drop();
  if (address !== undefined) writeAddress(address, "replaceState");
}

function drop(): void {
  if (pending !== null) clearTimeout(pending.timer);
  pending = null;
}

/** Into the address bar, where there is one to write to: a page inside a notebook's cell may have none. */
function writeAddress(address: Address, how: "pushState" | "replaceState"): void {
  try {
    window.history[how](null, "", write(address));
  } catch (error) {
    if (!(error instanceof DOMException)) throw error;
  }
}

function useFeature(source: Source, feature: number): State {
  const [late, setLate] = useState<{ feature: number; state: State } | null>(null);
  const now = useMemo(() => load(source, feature), [source, feature]);
  useLayoutEffect(() => {
    if (!(now instanceof Promise)) return undefined;
    let wanted = true;
    void now.then((state) => wanted && setLate({ feature, state }));
    return () => {
      wanted = false;
    };
  }, [now, feature]);
  if (!(now instanceof Promise)) return now;
  return late?.feature === feature ? late.state : { kind: "loading" };
}

function load(source: Source, feature: number): State | Promise<State> {
  const arrived = (view: Loaded): State => (view === null ? { kind: "missing" } : { kind: "open", view });
  const failed = (error: unknown): State => ({ kind: "failed", reason: reasonOf(error) });
  try {
    const got = source.feature(feature);
    return got instanceof Promise ? got.then(arrived, failed) : arrived(got);
  } catch (error) {
    return failed(error);
  }
}

export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The feature before or after, round the end; from one that is not on the page, the nearest. */
function neighbour(head: Head, feature: number, by: number): number {
  const ids = head.summary.feature;
  const place = ids.indexOf(feature);
  if (place >= 0) return ids[(place + by + ids.length) % ids.length] ?? feature;
  const beyond = Array.from(ids).filter((id) => (by > 0 ? id > feature : id < feature));
  return (by > 0 ? beyond[0] : beyond.at(-1)) ?? ids[0] ?? feature;
}

function useKeys(step: (by: number) => void, finding: boolean, setFinding: (open: boolean) => void): void {
  useLayoutEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === "Escape") {
        tip.set(null);
        if (finding) setFinding(false);
        return;
      }
      if (event.target instanceof HTMLElement && event.target.matches("input:not([type=checkbox]), textarea, select")) return;
      const by = { ArrowRight: 1, j: 1, ArrowLeft: -1, k: -1 }[event.key];
      if (by !== undefined) step(by);
      else if (event.key === "/") setFinding(true);
      else return;
      event.preventDefault();
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, [step, finding, setFinding]);
}

interface CardProps {
  readonly view: FeatureView;
  readonly head: Head;
  readonly texts: TokenTexts;
  readonly shared: Omit<ComponentProps, "card" | "options">;
}

function FeatureCard({ view, head, texts, shared }: CardProps): VNode {
  const card = useMemo(() => new Card(view, head, texts), [view, head, texts]);
  const { columns, height } = head.layout;
  const style = { "--columns": columns.map(columnWidth).join(" "), ...(height === null ? {} : { "--height": `${height}px` }) };
  return (
    <article class={`card ${height === null ? "" : "fixed"}`} style={style} aria-label={`Feature ${view.feature}`}>
      <CardHead card={card} />
      {columns.map((column, i) => (
        <div key={i} class={`column ${isWide(column) ? "wide" : "narrow"}`}>
          {column.components.map(({ type, options }) => {
            const Draw = Object.hasOwn(COMPONENTS, type) ? COMPONENTS[type] : undefined;
            return Draw === undefined ? (
              <UnknownComponent key={type} type={type} />
            ) : (
              <Draw key={type} card={card} options={options} {...shared} />
            );
          })}
        </div>
      ))}
    </article>
  );
}

function CardHead({ card }: { card: Card }): VNode {
  const { feature, stats } = card.view;
  return (
    <header class="card-head">
      <h2>
        Feature <b>{feature}</b>
      </h2>
      {card.dead ? (
        <DeadFeature feature={feature} head={card.head} />
      ) : (
        <p class="stats">
          <span>
            fires on <b>{percent(stats.density)}</b> of tokens
          </span>
          <span>
            <b>{plural(stats.n_firings, "time")}</b>
          </span>
          <span>
            max <b>{number(stats.max)}</b>
          </span>
          <span>
            mean <b>{number(stats.mean)}</b> ± {number(stats.std)}
          </span>
        </p>
      )}
    </header>
  );
}

function isWide(column: ColumnSpec): boolean {
  return column.components.some((c) => c.type === "SeqMultiGroup");
}

function columnWidth(column: ColumnSpec): string {
  if (column.width !== null) return `${column.width}px`;
  if (isWide(column)) return "minmax(0, 1fr)";
  return column.components.every((c) => c.type === "FeatureTables") ? "240px" : "minmax(320px, 400px)";
}
