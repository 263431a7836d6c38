// The page: the open features, each with its card drawn as the layout says.
import type { VNode } from "preact";
import { useLayoutEffect, useMemo, useState } from "preact/hooks";
import { featureFields, linked, type FeatureAddress } from "../../state/address";
import { Card, opened, tip } from "../../state/card";
import { columnWidth, Columns, type Shared } from "../../components/Columns";
import { CardHead } from "../../components/CardHead";
import { Header } from "../../components/Header";
import { Help } from "../../components/Help";
import { FailedLoad, MissingFeature, Notice } from "../../components/Messages";
import { Picker } from "../../components/Picker";
import { TopBar } from "../../components/TopBar";
import { KEYS } from "./keys";
import { useKeys } from "../../state/keys";
import { useLoaded } from "../../state/load";
import { usePage, type Page } from "../../state/page";
import { Tooltips } from "../../marks/Tooltip";
import { usePanes, type Panes } from "../../state/panes";
import type { LayoutSpec } from "../../data/contract";
import type { Source } from "../../data/source";

export function FeatureApp({ source }: { source: Source }): VNode {
  const fields = useMemo(() => featureFields(source.head), [source]);
  const page = usePage(source, fields, hideTip);
  const { head, address, move } = page;
  const panes = usePanes(page);
  const [finding, setFinding] = useState(false);
  const [help, setHelp] = useState(false);
  const about = useMemo(() => <Header head={head} />, [head]);
  const several = panes.features.length > 1;
  const step = (by: number): void => panes.step(panes.active, by);
  const close = (): boolean => {
    if (finding) setFinding(false);
    return finding;
  };
  useKeys(KEYS, { step, compare: panes.compare, setFinding, help, setHelp }, { close });
  return (
    <>
      <TopBar theme={address.theme} setTheme={(theme) => move({ theme }, "replace")} openHelp={() => setHelp(true)}>
        <Picker page={page} panes={panes} open={finding} setOpen={setFinding} />
      </TopBar>
      {about}
      <main class={several ? "beside" : ""} style={{ "--panes": panes.features.length }}>
        {panes.features.map((feature, place) => (
          <Pane key={panes.keys[place]} feature={feature} place={place} page={page} panes={panes} />
        ))}
      </main>
      <Tooltips below={opensBelow(head.layout)} several={several} />
      <Notice />
      {help && <Help keys={KEYS} close={() => setHelp(false)} />}
    </>
  );
}

function hideTip(): void {
  tip.set(null);
}

function opensBelow({ columns }: LayoutSpec): boolean {
  return columns.every((column) => column.components.every((c) => c.options["hover_below"] !== false));
}

interface PaneProps {
  readonly feature: number;
  readonly place: number;
  readonly page: Page<FeatureAddress>;
  readonly panes: Panes;
}

/** One open feature: the only one, or a column of several. */
function Pane({ feature, place, page, panes }: PaneProps): VNode {
  const { source, head, texts } = page;
  const state = useLoaded(source.card, feature);
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
    <article class={articleClass(head.layout, several, place === panes.active)} style={articleStyle(head.layout)} aria-label={`Feature ${feature}`} {...paneHandlers(place, panes)}>
      <CardHead feature={feature} card={card} head={head} place={place} panes={panes} href={page.href({ features: [feature] })}>
        {message}
      </CardHead>
      {card !== null && <Columns card={card} head={head} several={several} shared={sharedOf(place, page, panes)} />}
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
function paneHandlers(place: number, panes: Panes): PaneHandlers {
  const activate = (): void => {
    if (panes.active !== place) panes.activate(place);
  };
  return {
    onPointerDown: activate,
    onFocusIn: activate,
    onClickCapture(event) {
      if (!(event.ctrlKey || event.metaKey || event.shiftKey) || !(event.target instanceof Element)) return;
      const link = event.target.closest<HTMLAnchorElement>('a[href^="#"]');
      const feature = link === null ? undefined : linked(link)[Math.min(place, panes.features.length - 1)];
      if (feature === undefined) return;
      event.preventDefault();
      panes.beside(feature);
    },
  };
}

function sharedOf(place: number, { source, address, move, href, has }: Page<FeatureAddress>, panes: Panes): Shared {
  const { log, wrap, features } = address;
  return {
    log,
    wrap,
    set: (change) => move(change, "replace"),
    go: (feature) => panes.go(place, feature),
    has,
    href: (feature) => href({ features: features.map((open, i) => (i === place ? feature : open)) }),
    shared: (type) => source.shared(type),
  };
}
