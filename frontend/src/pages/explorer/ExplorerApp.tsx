// The explorer: the table of all features, and the card of the open one.
import type { VNode } from "preact";
import { useCallback, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { About } from "../../components/explorer/About";
import { numberIn, SearchBox, Ways } from "../../components/explorer/SearchBox";
import { Help } from "../../components/Help";
import { Notice } from "../../components/Messages";
import { TopBar } from "../../components/TopBar";
import type { Read } from "../../components/types";
import type { ExplorerSource } from "../../data/explorer";
import { TokenTexts } from "../../data/tokens";
import { Tooltips } from "../../marks/Tooltip";
import { strongest, tip } from "../../state/card";
import { narrowed, useBrush } from "../../state/explorer/brush";
import { explorerFields, MOST_PINS, VIEWS, type ExplorerAddress, type View } from "../../state/explorer/address";
import { useLasso } from "../../state/explorer/lasso";
import { useNotes } from "../../state/explorer/notes";
import { shownHits, useSearch, type Search } from "../../state/explorer/search";
import { useTable } from "../../state/explorer/table";
import { write } from "../../state/fields";
import { useFrame } from "../../state/frame";
import { othersNow, useAddress, type Moves } from "../../state/history";
import { useKeys } from "../../state/keys";
import { useLate } from "../../state/late";
import { reasonOf } from "../../state/load";
import { say } from "../../state/notice";
import type { CardPaneProps } from "./CardPane";
import { KEYS, type ExplorerKeys } from "./keys";
import type { MapPaneProps } from "./MapPane";
import type { ComparePaneProps } from "./ComparePane";
import { Drawn, type Part } from "./Part";
import type { PromptPaneProps } from "./PromptPane";
import type { ReaderKeys, ReaderPaneProps } from "./ReaderPane";
import { TablePane } from "./TablePane";

/** The card, and views that an explorer may have beside the table; those that are left out are not to be had. */
export interface Panes {
  readonly card: Part<CardPaneProps>;
  readonly map?: Part<MapPaneProps>;
  readonly prompt?: Part<PromptPaneProps>;
  readonly compare?: Part<ComparePaneProps>;
  readonly text?: Part<ReaderPaneProps>;
}

export interface ExplorerAppProps {
  readonly source: ExplorerSource;
  readonly panes: Panes;
  /** Called with the feature that is open; `usual`: nobody chose it, it is the first of the table. */
  readonly opened?: (feature: number, usual: boolean) => void;
}

export function ExplorerApp({ source, panes, opened }: ExplorerAppProps): VNode {
  const { keeper } = useFrame();
  const fields = useMemo(() => explorerFields(source.info), [source]);
  const texts = useMemo(() => new TokenTexts(source.store, source.store.special), [source]);
  const [address, move] = useAddress(fields, hideTip, isPanes);
  const [help, setHelp] = useState(false);
  const box = useRef<HTMLInputElement>(null);
  const grid = useRef<HTMLDivElement>(null);
  const book = useNotes(source);
  const search = useSearch(source, address.words, book.notes, source.info.can.live);
  const hits = shownHits(search, address.way);
  const lasso = useLasso();
  const brush = useBrush();
  const where = useMemo(() => (brush.now === null ? address.where : narrowed(address.where, brush.now.column, brush.now.range)), [address.where, brush.now]);
  const table = useTable(source, address, where, hits, lasso.features);
  const { list, waiting } = table;
  const held = useRef<number | null>(null);
  // The open card stays while a histogram is dragged over.
  const feature = address.feature ?? (brush.now !== null ? held.current : waiting ? null : (list[0] ?? null));
  held.current = feature;
  // A card that nobody chose follows the table.
  const after = useLate(feature);
  const card = address.feature === null ? after : feature;
  useLayoutEffect(() => {
    if (feature !== null) opened?.(feature, address.feature === null);
  }, [feature, address.feature, opened]);
  const place = feature === null ? -1 : list.indexOf(feature);
  /** The feature some rows further; none where it is not known yet which row the open one is in. */
  const near = (by: number): number | undefined => {
    if (place < 0) return table.whole ? list[0] : undefined;
    return list[Math.min(Math.max(place + by, 0), list.length - 1)];
  };
  const step = (by: number): void => {
    const next = near(by);
    if (next !== undefined) move({ feature: next }, "replace");
  };
  const go = (to: number): void => move({ feature: to, words: "" });
  const openFirst = useFirst(search, address.words, list, (first) => {
    move({ feature: first });
    grid.current?.focus();
  });
  const openFound = (): void => {
    const asked = numberIn(address.words);
    if (asked !== null && asked < source.n) go(asked);
    else openFirst();
  };
  const href = useCallback((change: Partial<typeof address>) => write(fields, { ...address, ...change }, othersNow(keeper, isPanes)), [fields, address, keeper]);
  const about = useMemo(() => <About source={source} />, [source]);
  const reader = useRef<ReaderKeys | null>(null);
  const read = useMemo(() => readIn(source, address.pins, move), [source, address.pins, move]);
  const now = useRef(address);
  now.current = address;
  useLayoutEffect(() => {
    const { view: at, feature: chosen, document, page, token, pins } = address;
    if (at === "text" && chosen !== null && document === 0 && page === 0 && token === null && pins.length === 0) {
      const begin = readIn(source, pins, (change) => now.current.view === "text" && move(change, "replace"));
      void readStrongest(source, chosen, begin, () => undefined);
    }
  }, []);
  const show = (to: View): void => {
    const chosen = address.feature;
    if (to === "text" && chosen !== null && !address.pins.includes(chosen)) void readStrongest(source, chosen, read, () => move({ view: to }));
    else move({ view: to, partner: null });
  };
  const views = viewsOf(source).filter((one) => one === "table" || panes[one] !== undefined);
  const view = views.includes(address.view) ? address.view : "table";
  const searched = view === "table" || view === "map";
  const beside = searched || view === "text";
  const pane = { source, address, move, help, setHelp };
  const wait = <p class="message">Loading…</p>;
  const found =
    address.words.trim() === "" ? null : (
      <Ways words={address.words} search={search} shown={hits} choose={(way) => move({ way, sort: "score", down: true }, "replace")} go={go} clear={() => move({ words: "", way: null }, "replace")} n={source.n} texts={texts} />
    );
  return (
    <>
      <TopBar theme={address.theme} setTheme={(theme) => move({ theme }, "replace")} openHelp={() => setHelp(true)}>
        <Indices source={source} address={address} />
        {source.pages.map(({ title, address: to }) => (
          <a key={to} href={to}>
            {title}
          </a>
        ))}
        {views.length > 1 && <Views views={views} view={view} go={show} />}
        {searched && (
          <SearchBox box={box} words={address.words} setWords={(words) => move({ words, way: null }, "replace")} open={openFound} leave={() => grid.current?.focus()} />
        )}
      </TopBar>
      {about}
      <main class={beside ? "explorer" : ""}>
        {view === "prompt" && panes.prompt !== undefined && <Drawn part={panes.prompt} props={{ texts, ...pane }} wait={wait} />}
        {view === "compare" && panes.compare !== undefined && <Drawn part={panes.compare} props={{ current: feature, ...pane }} wait={wait} />}
        {beside && <TableKeys step={step} find={() => box.current?.focus()} help={help} setHelp={setHelp} reader={reader} />}
        {view === "table" && <TablePane source={source} texts={texts} table={table} address={address} move={move} current={feature} book={book} found={found} grid={grid} lasso={lasso} brush={brush} />}
        {view === "map" && panes.map !== undefined && <Drawn part={panes.map} props={{ source, texts, table, address, move, current: feature, lasso, found }} wait={wait} />}
        {view === "text" && panes.text !== undefined && <Drawn part={panes.text} props={{ source, texts, address, move, href, current: feature, keys: reader }} wait={wait} />}
        {beside && feature === null && <p class="message">{waiting ? "Loading the features…" : "No feature is left: let go of a filter."}</p>}
        {beside && feature !== null && card !== null && (
          <Drawn
            part={panes.card}
            props={{
              source,
              texts,
              feature: card,
              ahead: [near(1), near(-1)].filter((one) => one !== undefined),
              address,
              move,
              href,
              book,
              read: source.info.can.reader ? read : undefined,
            }}
            wait={<p class="message">Loading feature {card}…</p>}
          />
        )}
      </main>
      <Tooltips below={false} several={false} />
      <Notice />
    </>
  );
}

/** Opens the first feature that is found for some words, once it is. */
function useFirst(search: Search, words: string, list: Int32Array, open: (feature: number) => void): () => void {
  const [hurry, setHurry] = useState<string | null>(null);
  const there = search.kind === "found" && search.words === words ? search : null;
  useLayoutEffect(() => {
    if (hurry === null || (hurry === words && there === null && search.kind !== "failed")) return;
    const first = hurry === words && there !== null ? list[0] : undefined;
    if (first === undefined && hurry === words && there?.model === "reading") return;
    setHurry(null);
    if (first !== undefined) open(first);
  });
  return () => setHurry(words);
}

/** The keys of the table and of the text, as long as one of them is there. */
function TableKeys(keys: ExplorerKeys): VNode | null {
  useKeys(KEYS, keys);
  return keys.help ? <Help keys={KEYS} close={() => keys.setHelp(false)} /> : null;
}

/** What belongs to a prompt or a comparison alone in the address. */
function isPanes(name: string): boolean {
  return /^[pc]\./.test(name) && name !== "c.b";
}

/** Opens the document of an example's token, coloured by its feature. */
function readIn(source: ExplorerSource, pins: readonly number[], move: Moves<ExplorerAddress>): Read {
  return async (feature, sequence, position) => {
    try {
      const { document, page, token } = await source.place(sequence, position);
      move({ view: "text", document, page, token, pins: [feature, ...pins.filter((one) => one !== feature)].slice(0, MOST_PINS) });
    } catch (error) {
      say(reasonOf(error));
    }
  };
}

/** Opens the document of a feature's strongest firing; `otherwise` where its card shows none. */
async function readStrongest(source: ExplorerSource, feature: number, read: Read, otherwise: () => void): Promise<void> {
  try {
    const at = strongest(await source.card(feature));
    if (at === null) otherwise();
    else read(feature, at.sequence, at.position);
  } catch {
    otherwise(); // opening the card says why it can't be had
  }
}

/** What the source has something for. */
function viewsOf({ info: { can, indices, identity } }: ExplorerSource): readonly View[] {
  const others = indices.some((one) => one.same_text && one.identity !== identity);
  const there: Readonly<Record<View, boolean>> = { table: true, map: can.map, text: can.reader, prompt: can.live, compare: others };
  return VIEWS.filter((one) => there[one]);
}

const TITLES: Readonly<Record<View, string>> = { table: "Features", map: "Map", text: "Text", prompt: "Prompt", compare: "Compare" };

function Views({ views, view, go }: { readonly views: readonly View[]; readonly view: View; readonly go: (view: View) => void }): VNode {
  return (
    <nav class="views" aria-label="Views">
      {views.map((one) => (
        <button key={one} type="button" aria-current={one === view ? "page" : undefined} onClick={() => go(one)}>
          {TITLES[one]}
        </button>
      ))}
    </nav>
  );
}

function hideTip(): void {
  tip.set(null);
}

function typed({ view, words, text, compare }: ExplorerAddress): string {
  const said = { view: view === "prompt" ? view : "", q: words, text, with: compare };
  return Object.entries(said).flatMap(([name, value]) => (value === "" ? [] : [`${name}=${encodeURIComponent(value)}`])).join("&");
}

/** Which of several indices is open. What was typed goes along to another, since it says as much there. */
function Indices({ source, address }: { readonly source: ExplorerSource; readonly address: ExplorerAddress }): VNode | null {
  const { indices, identity } = source.info;
  if (indices.length < 2) return null;
  return (
    <select aria-label="Index" onChange={(event) => window.location.assign(`${source.other(event.currentTarget.value)}#${typed(address)}`)}>
      {indices.map((one) => (
        <option key={one.identity} value={one.identity} selected={one.identity === identity}>
          {one.title} ({one.hook})
        </option>
      ))}
    </select>
  );
}
