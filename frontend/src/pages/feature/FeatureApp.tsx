// The page: the open features, each with its card drawn as the layout says.
import type { VNode } from "preact";
import { useLayoutEffect, useMemo, useState } from "preact/hooks";
import { parse, useAddress, write, type Address, type Move } from "../../state/address";
import { Card, opened } from "../../state/card";
import { columnWidth, Columns, type Shared } from "../../components/Columns";
import { CardHead } from "../../components/CardHead";
import { Header } from "../../components/Header";
import { Help } from "../../components/Help";
import { FailedLoad, MissingFeature, Notice } from "../../components/Messages";
import { Picker } from "../../components/Picker";
import { TopBar } from "../../components/TopBar";
import { KEYS, useFeatureKeys } from "./keys";
import { useFeature } from "../../state/load";
import { Tooltips } from "../../marks/Tooltip";
import { usePanes, type Panes } from "../../state/panes";
import type { LayoutSpec } from "../../data/contract";
import { ExampleSearch } from "../../state/search";
import type { Source } from "../../data/source";
import { TokenTexts } from "../../data/tokens";

export function FeatureApp({ source }: { source: Source }): VNode {
  const { head } = source;
  const texts = useMemo(() => new TokenTexts(head.tokenBytes, head.special), [head]);
  const search = useMemo(() => new ExampleSearch(source, texts), [source, texts]);
  const known = useMemo(() => new Set(head.summary.feature), [head]);
  const [address, move] = useAddress(head);
  const panes = usePanes(head, address, move);
  const [finding, setFinding] = useState(false);
  const [help, setHelp] = useState(false);
  const about = useMemo(() => <Header head={head} />, [head]);
  const several = panes.features.length > 1;
  const step = (by: number): void => panes.step(panes.active, by);
  useFeatureKeys({ step, compare: panes.compare, finding, setFinding, help, setHelp });
  const page: Page = { source, texts, address, move, panes, has: (id) => known.has(id) };
  return (
    <>
      <TopBar theme={address.theme} setTheme={(theme) => move({ theme }, "replace")} openHelp={() => setHelp(true)}>
        <Picker head={head} texts={texts} search={search} panes={panes} open={finding} setOpen={setFinding} />
      </TopBar>
      {about}
      <main class={several ? "beside" : ""} style={{ "--panes": panes.features.length }}>
        {panes.features.map((feature, place) => (
          <Pane key={panes.keys[place]} feature={feature} place={place} page={page} />
        ))}
      </main>
      <Tooltips below={opensBelow(head.layout)} several={several} />
      <Notice />
      {help && <Help keys={KEYS} close={() => setHelp(false)} />}
    </>
  );
}

function opensBelow({ columns }: LayoutSpec): boolean {
  return columns.every((column) => column.components.every((c) => c.options["hover_below"] !== false));
}

/** What all open features share. */
interface Page {
  readonly source: Source;
  readonly texts: TokenTexts;
  readonly address: Address;
  readonly move: Move;
  readonly panes: Panes;
  readonly has: (feature: number) => boolean;
}

interface PaneProps {
  readonly feature: number;
  readonly place: number;
  readonly page: Page;
}

/** One open feature: the only one, or a column of several. */
function Pane({ feature, place, page }: PaneProps): VNode {
  const { source, texts, panes } = page;
  const { head } = source;
  const state = useFeature(source, feature);
  const card = useMemo(() => (state.kind === "open" ? new Card(state.view, head, texts) : null), [state, head, texts]);
  useLayoutEffect(() => (card === null ? undefined : opened(card)), [card]);
  const several = panes.features.length > 1;
  const message =
    state.kind === "missing" ? (
      <MissingFeature feature={feature} head={head} />
    ) : state.kind === "loading" ? (
      <p class="message">Loading feature {feature}…</p>
    ) : state.kind === "failed" ? (
      <FailedLoad what={`Feature ${feature}`} reason={state.reason} />
    ) : null;
  if (card === null && !several) return <>{message}</>;
  return (
    <article class={articleClass(head.layout, several, place === panes.active)} style={articleStyle(head.layout)} aria-label={`Feature ${feature}`} {...paneHandlers(place, page)}>
      <CardHead feature={feature} card={card} head={head} place={place} panes={panes}>
        {message}
      </CardHead>
      {card !== null && <Columns card={card} head={head} several={several} shared={sharedOf(place, page)} />}
    </article>
  );
}

function articleClass({ columns, height }: LayoutSpec, several: boolean, active: boolean): string {
  if (several) return active ? "card pane active" : "card pane";
  const snug = columns.every((column) => column.width !== null) ? "snug" : "";
  return `card ${snug} ${height === null ? "" : "fixed"}`;
}

function articleStyle({ columns, height }: LayoutSpec): Record<string, string | number> {
  const parts = columns.reduce((n, column) => n + column.components.length, 0);
  return { "--columns": columns.map(columnWidth).join(" "), "--height": `${height ?? 0}px`, "--parts": parts };
}

interface PaneHandlers {
  readonly onPointerDown: () => void;
  readonly onFocusIn: () => void;
  readonly onClickCapture: (event: MouseEvent) => void;
}

/** What is clicked or in focus becomes active; a feature's link opens beside with Ctrl, Cmd or Shift. */
function paneHandlers(place: number, { address, panes }: Page): PaneHandlers {
  const activate = (): void => {
    if (panes.active !== place) panes.activate(place);
  };
  return {
    onPointerDown: activate,
    onFocusIn: activate,
    onClickCapture(event) {
      if (!(event.ctrlKey || event.metaKey || event.shiftKey) || !(event.target instanceof Element)) return;
      const link = event.target.closest<HTMLAnchorElement>('a[href^="#"]');
      const feature = link === null ? undefined : parse(link.hash).features[Math.min(place, address.features.length - 1)];
      if (feature === undefined) return;
      event.preventDefault();
      panes.beside(feature);
    },
  };
}

function sharedOf(place: number, { source, address, move, panes, has }: Page): Shared {
  const { log, wrap, features } = address;
  return {
    log,
    wrap,
    set: (change) => move(change, "replace"),
    go: (feature) => panes.go(place, feature),
    has,
    href: (feature) => write({ ...address, features: features.map((open, i) => (i === place ? feature : open)) }),
    shared: (type) => source.shared(type),
  };
}
