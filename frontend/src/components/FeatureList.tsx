// The features of the page in a list that is searched, filtered and sorted.
import type { VNode } from "preact";
import { useCallback, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { count, number, percent, plural } from "../data/format";
import { WORDS } from "../data/words";
import { Chip } from "../marks/TokenText";
import { SHARED } from "./ModelDiff";
import { useLoaded } from "../state/load";
import type { Progress, Snippet } from "../data/search";
import type { LabellingWords } from "../data/contract";
import type { Column, Head, Late, Source } from "../data/source";
import type { TokenTexts } from "../data/tokens";

/** Rows drawn at once; the rest are found by searching. */
const MOST_ROWS = 300;

export interface FeatureListProps {
  readonly source: Source;
  readonly texts: TokenTexts;
  /** The features that are open, and which of them is active. */
  readonly shown: readonly number[];
  readonly active: number;
  readonly close: () => void;
  readonly go: (feature: number) => void;
  readonly beside: (feature: number) => void;
}

/** What the list is narrowed down to. */
interface Filter {
  /** Begins a feature's number, or is in its strongest token. */
  readonly words: string;
  readonly example: string;
  /** Shares, 0 to 1. */
  readonly from: number;
  readonly to: number;
  /** Of the largest activation, by size. */
  readonly max: number;
  /** Place of the labelling that rows are about, and the label that they must prefer (-1: any). */
  readonly labelling: number;
  readonly label: number;
  /** Of a crosscoder of two models: relative norms, the upper end left out. */
  readonly share: readonly [number, number] | null;
}

type Models = readonly [string, string];

/** Names of the two models of a crosscoder; null for other dictionaries. */
function modelsOf({ head, can }: Source): Models | null {
  const [first, second] = head.meta.places?.model_names ?? [];
  return !can.columns.has("share") || first === undefined || second === undefined ? null : [first, second];
}

const SHARES: Readonly<Record<string, readonly [number, number]>> = {
  first: [0, SHARED.from],
  both: [SHARED.from, SHARED.to],
  second: [SHARED.to, 2],
};

const ALL: Filter = { words: "", example: "", from: 0, to: 1, max: 0, labelling: 0, label: -1, share: null };

interface Row {
  readonly feature: number;
  readonly density: number;
  readonly max: number;
  readonly token: number;
  /** Bits by which the labels of its firings differ from those of all tokens, and the label it prefers (-1: none). */
  readonly uneven: number;
  readonly label: number;
  /** Relative norm of the second model's decoder; NaN where there is none. */
  readonly share: number;
}

const NO_ROWS: readonly Row[] = [];

type By = "feature" | "density" | "max" | "uneven" | "share";

interface Order {
  readonly by: By;
  readonly down: boolean;
}

export function FeatureList(props: FeatureListProps): VNode {
  const { source, texts, close } = props;
  const { head, can } = source;
  const [filter, setFilter] = useState(ALL);
  const [order, setOrder] = useState<Order>({ by: "feature", down: false });
  const [cursor, setCursor] = useState(-1);
  const progress = useExamples(source, filter.example);
  const table = useLoaded(useCallback((labelling: number) => tableOf(source, labelling), [source]), filter.labelling);
  const all = table.kind === "open" ? table.view : NO_ROWS;
  const labelling = can.columns.has(`unevenness ${filter.labelling}`) ? head.labellings[filter.labelling] : undefined;
  const rows = useMemo(() => found(all, texts, filter, progress, order), [all, texts, filter, progress, order]);
  const change = (next: Partial<Filter>): void => {
    setFilter({ ...filter, ...next });
    setCursor(-1);
  };
  const choose = (row: Row | undefined, beside: boolean): void => {
    if (row === undefined) return;
    (beside ? props.beside : props.go)(row.feature);
    close();
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.key === "Escape") close();
    else if (event.key === "ArrowDown") setCursor(Math.min(cursor + 1, rows.length - 1, MOST_ROWS - 1));
    else if (event.key === "ArrowUp") setCursor(Math.max(cursor - 1, 0));
    else if (event.key === "Enter" && event.target instanceof HTMLInputElement) choose(rows[Math.max(cursor, 0)], event.shiftKey);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return (
    <div id="features" class="list-panel" role="dialog" aria-label="Find a feature" onKeyDown={onKeyDown}>
      <Filters change={change} source={source} />
      {labelling !== undefined && <LabelFilters head={head} filter={filter} change={change} />}
      <div class="scroll">
        <table>
          <Heads
            order={order}
            setOrder={setOrder}
            examples={progress !== null}
            source={source}
            labelling={labelling}
          />
          <Rows {...props} labelling={labelling} rows={rows.slice(0, MOST_ROWS)} cursor={cursor} progress={progress} choose={choose} />
        </table>
      </div>
      <p class="quiet" role="status">
        {progress !== null && progress.searched < progress.of && `Searching ${count(progress.searched)} of ${count(progress.of)}… `}
        {table.kind === "loading" ? "Loading the features…" : table.kind === "failed" ? `The features can't be read: ${table.reason}` : rows.length === 0 ? "No feature matches." : plural(rows.length, "feature")}
        {rows.length > MOST_ROWS && `, the first ${MOST_ROWS} shown`}
      </p>
      <p class="quiet keys">↑ ↓ choose · Enter opens · Shift+Enter opens beside · Esc closes</p>
    </div>
  );
}

/** Progress of the search in the examples; null while nothing is searched for. */
function useExamples(source: Source, words: string): Progress | null {
  const [progress, setProgress] = useState<Progress | null>(null);
  useLayoutEffect(() => {
    if (words === "") {
      setProgress(null);
      return undefined;
    }
    setProgress({ searched: 0, of: source.head.summary.feature.length, hits: new Map() });
    return source.search(words, setProgress);
  }, [source, words]);
  return words === "" ? null : progress;
}

interface FiltersProps {
  readonly change: (next: Partial<Filter>) => void;
  readonly source: Source;
}

function Filters({ change, source }: FiltersProps): VNode {
  const { can, head } = source;
  const { signed } = head.meta;
  const models = modelsOf(source);
  const first = useRef<HTMLInputElement>(null);
  useLayoutEffect(() => first.current?.focus(), []);
  const value = (box: HTMLInputElement, otherwise: number): number => (Number.isFinite(box.valueAsNumber) ? box.valueAsNumber : otherwise);
  return (
    <div class="filters">
      <input
        ref={first}
        type="search"
        placeholder="Number, or text of its strongest token"
        aria-label="Search by number or strongest token"
        onInput={(event) => change({ words: event.currentTarget.value.trim().toLowerCase() })}
      />
      {can.search && (
        <input
          type="search"
          placeholder="Text in the examples"
          aria-label="Search the text of the examples"
          onInput={(event) => change({ example: event.currentTarget.value })}
        />
      )}
      <div class="limits">
        {can.columns.has("density") && (
          <>
            <label>
              Density{" "}
              <input
                type="number"
                min="0"
                max="100"
                step="any"
                placeholder="0"
                aria-label="Density at least, in percent"
                onInput={(event) => change({ from: value(event.currentTarget, 0) / 100 })}
              />
            </label>
            <label>
              to{" "}
              <input
                type="number"
                min="0"
                max="100"
                step="any"
                placeholder="100"
                aria-label="Density at most, in percent"
                onInput={(event) => change({ to: value(event.currentTarget, 100) / 100 })}
              />{" "}
              %
            </label>
          </>
        )}
        {can.columns.has("max") && (
          <label>
            {signed ? "Peak" : "Max"} at least{" "}
            <input type="number" min="0" step="any" placeholder="0" aria-label={signed ? "Size of the peak at least" : "Maximum at least"} onInput={(event) => change({ max: value(event.currentTarget, 0) })} />
          </label>
        )}
        {models !== null && (
          <label>
            Models{" "}
            <select aria-label="Models that the feature belongs to" onChange={(event) => change({ share: SHARES[event.currentTarget.value] ?? null })}>
              <option value="all">all</option>
              <option value="first">mostly {models[0]}</option>
              <option value="both">shared</option>
              <option value="second">mostly {models[1]}</option>
            </select>
          </label>
        )}
      </div>
    </div>
  );
}

interface LabelFiltersProps {
  readonly head: Head;
  readonly filter: Filter;
  readonly change: (next: Partial<Filter>) => void;
}

/** Which labelling the list is about, where there are several, and features that prefer one label. */
function LabelFilters({ head, filter, change }: LabelFiltersProps): VNode {
  const { labellings } = head;
  return (
    <div class="limits by-label">
      {labellings.length > 1 && (
        <label>
          Labels by{" "}
          <select value={String(filter.labelling)} onChange={(event) => change({ labelling: Number(event.currentTarget.value), label: -1 })}>
            {labellings.map(({ name }, i) => (
              <option key={name} value={String(i)}>
                {name}
              </option>
            ))}
          </select>
        </label>
      )}
      <label>
        Prefers {labellings.length > 1 ? "label" : labellings[0]?.name}{" "}
        <select value={String(filter.label)} onChange={(event) => change({ label: Number(event.currentTarget.value) })}>
          <option value="-1">any</option>
          {labellings[filter.labelling]?.labels.map((label, i) => (
            <option key={label} value={String(i)}>
              {label}
            </option>
          ))}
        </select>
      </label>
    </div>
  );
}

interface HeadsProps {
  readonly order: Order;
  readonly setOrder: (order: Order) => void;
  readonly examples: boolean;
  readonly source: Source;
  readonly labelling: LabellingWords | undefined;
}

function Heads({ order, setOrder, examples, source, labelling }: HeadsProps): VNode {
  const { columns } = source.can;
  const models = modelsOf(source);
  const sort = (by: By, title: string, meaning?: string): VNode => {
    const chosen = order.by === by;
    const down = chosen ? !order.down : by !== "feature";
    return (
      <th aria-sort={!chosen ? "none" : order.down ? "descending" : "ascending"}>
        <button type="button" title={meaning} onClick={() => setOrder({ by, down })}>
          {title}
          {chosen ? (order.down ? " ↓" : " ↑") : ""}
        </button>
      </th>
    );
  };
  return (
    <thead>
      <tr>
        {sort("feature", "Feature")}
        {columns.has("density") && sort("density", "Density", WORDS.density)}
        {columns.has("max") && sort("max", source.head.meta.signed ? "Peak" : "Max", WORDS.max)}
        <th>{examples ? "In an example" : "Strongest token"}</th>
        {labelling !== undefined && sort("uneven", `By ${labelling.name}`, UNEVEN)}
        {models !== null && sort("share", `Share of ${models[1]}`)}
        <th>
          <span class="unseen">Open beside</span>
        </th>
      </tr>
    </thead>
  );
}

const UNEVEN = "The label that it prefers most, and how unevenly it fires over all labels, in bits per firing";

interface RowsProps extends FeatureListProps {
  readonly labelling: LabellingWords | undefined;
  readonly rows: readonly Row[];
  readonly cursor: number;
  readonly progress: Progress | null;
  readonly choose: (row: Row, beside: boolean) => void;
}

function Rows({ source, rows, labelling, cursor, progress, shown, active, texts, choose }: RowsProps): VNode {
  const { columns } = source.can;
  const body = useRef<HTMLTableSectionElement>(null);
  useLayoutEffect(() => body.current?.querySelector('[aria-selected="true"]')?.scrollIntoView({ block: "nearest" }), [cursor]);
  const onClick = (event: MouseEvent): void => {
    const target = event.target instanceof Element ? event.target : null;
    const row = rows[Number(target?.closest<HTMLElement>("[data-row]")?.dataset["row"])];
    if (row !== undefined) choose(row, target?.closest(".open-beside") !== null || event.ctrlKey || event.metaKey || event.shiftKey);
  };
  return (
    <tbody ref={body} onClick={onClick}>
      {rows.map((row, i) => (
        <tr key={row.feature} data-row={i} aria-selected={i === cursor} class={row.feature === shown[active] ? "current" : ""}>
          <td>
            <button type="button">{row.feature}</button>
          </td>
          {columns.has("density") && <td>{row.density === 0 ? "dead" : percent(row.density)}</td>}
          {columns.has("max") && <td>{row.density === 0 ? "" : number(row.max)}</td>}
          <td>{progress !== null ? <Match snippet={progress.hits.get(row.feature)} /> : row.token < 0 ? "" : <Chip list={texts.runs(row.token)} />}</td>
          {labelling !== undefined && (
            <td class="label" dir="auto">
              {row.label < 0 ? "" : `${labelling.labels[row.label] ?? ""} `}
              <b>{row.label < 0 ? "" : number(row.uneven)}</b>
            </td>
          )}
          {columns.has("share") && <td>{Number.isNaN(row.share) ? "none" : number(row.share)}</td>}
          <td>
            <button type="button" class="open-beside" aria-label={`Open feature ${row.feature} beside`} title="Open beside">
              +
            </button>
          </td>
        </tr>
      ))}
    </tbody>
  );
}

function Match({ snippet }: { snippet: Snippet | undefined }): VNode | null {
  if (snippet === undefined) return null;
  return (
    <span class="snippet" dir="auto">
      {snippet.before}
      <mark>{snippet.match}</mark>
      {snippet.after}
    </span>
  );
}

/** The table's rows; NaN, or -1, is what the source lacks. */
function tableOf({ head, can, columns }: Source, labelling: number): Late<readonly Row[]> {
  const wanted: readonly Column[] = ["density", "max", "top_token", `unevenness ${labelling}`, `label ${labelling}`, "share"];
  const names = wanted.filter((name) => can.columns.has(name));
  const rows = (found: readonly ArrayLike<number>[]): readonly Row[] => {
    const [density, max, token, uneven, label, share] = wanted.map((name) => found[names.indexOf(name)]);
    return Array.from(head.summary.feature, (feature, i) => ({
      feature,
      density: density?.[i] ?? NaN,
      max: max?.[i] ?? NaN,
      token: token?.[i] ?? -1,
      uneven: uneven?.[i] ?? NaN,
      label: label?.[i] ?? -1,
      share: share?.[i] ?? NaN,
    }));
  };
  const found = columns(names);
  return found instanceof Promise ? found.then(rows) : rows(found);
}

function found(rows: readonly Row[], texts: TokenTexts, filter: Filter, progress: Progress | null, order: Order): Row[] {
  const { words, from, to, max, label, share } = filter;
  const hits = rows.filter(
    (row) =>
      !(row.density < from) &&
      !(row.density > to) &&
      !(Math.abs(row.max) < max) &&
      (label < 0 || row.label === label) &&
      (share === null || (row.share >= share[0] && row.share < share[1])) &&
      (progress === null || progress.hits.has(row.feature)) &&
      (words === "" || String(row.feature).startsWith(words) || (row.token >= 0 && texts.plain(row.token).toLowerCase().includes(words))),
  );
  const way = order.down ? -1 : 1;
  const by = (row: Row): number => Math.abs(row[order.by]);
  return hits.sort((a, b) => way * (by(a) - by(b)));
}
