// Choosing a feature: the one before, the one after, by number, or from a list that can be searched and sorted.
import type { VNode } from "preact";
import { useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { count, number, percent, plural } from "../format";
import { Chip } from "../marks/TokenText";
import type { Head } from "../source";
import type { TokenTexts } from "../tokens";

/** Rows drawn at once; the rest are found by typing. */
const MOST_ROWS = 300;

export interface PickerProps {
  readonly head: Head;
  readonly texts: TokenTexts;
  readonly feature: number;
  readonly open: boolean;
  readonly setOpen: (open: boolean) => void;
  readonly step: (by: number) => void;
  readonly go: (feature: number) => void;
}

export function Picker(props: PickerProps): VNode {
  const { head, feature, step, open, setOpen } = props;
  const ids = head.summary.feature;
  const place = ids.indexOf(feature);
  return (
    <nav class="picker" aria-label="Features">
      <button type="button" onClick={() => step(-1)} aria-label="Previous feature" title="Previous feature (← or k)" disabled={ids.length < 2}>
        ‹
      </button>
      <GoTo {...props} />
      <button type="button" onClick={() => step(1)} aria-label="Next feature" title="Next feature (→ or j)" disabled={ids.length < 2}>
        ›
      </button>
      <span class="quiet place">{place < 0 ? "not on this page" : `${count(place + 1)} of ${count(ids.length)}`}</span>
      <button type="button" class="list" aria-expanded={open} aria-controls="features" onClick={() => setOpen(!open)} title="Search the features (/)">
        Find a feature <kbd>/</kbd>
      </button>
      {open && <List {...props} />}
    </nav>
  );
}

function GoTo({ feature, go }: PickerProps): VNode {
  const box = useRef<HTMLInputElement>(null);
  useLayoutEffect(() => {
    if (box.current !== null) box.current.value = String(feature);
  }, [feature]);
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        const text = box.current?.value.trim() ?? "";
        if (/^\d{1,15}$/.test(text)) go(Number(text));
        else if (box.current !== null) box.current.value = String(feature);
        box.current?.blur();
      }}
    >
      <label>
        Feature <input ref={box} inputMode="numeric" autocomplete="off" size={6} defaultValue={String(feature)} aria-label="Go to feature" />
      </label>
    </form>
  );
}

interface Row {
  readonly feature: number;
  readonly density: number;
  readonly max: number;
  readonly token: number;
}

type Order = "feature" | "density" | "max";

function List({ head, texts, feature, go, setOpen }: PickerProps): VNode {
  const [words, setWords] = useState("");
  const [order, setOrder] = useState<Order>("feature");
  const [cursor, setCursor] = useState(-1);
  const search = useRef<HTMLInputElement>(null);
  const body = useRef<HTMLTableSectionElement>(null);
  const rows = useMemo(() => found(rowsOf(head), texts, words, order), [head, texts, words, order]);
  useLayoutEffect(() => search.current?.focus(), []);
  useLayoutEffect(() => body.current?.querySelector('[aria-selected="true"]')?.scrollIntoView({ block: "nearest" }), [cursor]);
  const choose = (row: Row | undefined): void => {
    if (row === undefined) return;
    go(row.feature);
    setOpen(false);
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.key === "Escape") setOpen(false);
    else if (event.key === "ArrowDown") setCursor(Math.min(cursor + 1, rows.length - 1, MOST_ROWS - 1));
    else if (event.key === "ArrowUp") setCursor(Math.max(cursor - 1, 0));
    else if (event.key === "Enter" && event.target === search.current) choose(rows[Math.max(cursor, 0)]);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return (
    <div id="features" class="list-panel" role="dialog" aria-label="Find a feature" onKeyDown={onKeyDown}>
      <input
        ref={search}
        type="search"
        placeholder="Number, or text of the top token"
        aria-label="Search by number or top token"
        onInput={(event) => {
          setWords(event.currentTarget.value);
          setCursor(-1);
        }}
      />
      <div class="scroll">
        <table>
          <thead>
            <tr>
              <Sort name="feature" title="Feature" order={order} setOrder={setOrder} />
              <Sort name="density" title="Density" order={order} setOrder={setOrder} />
              <Sort name="max" title="Max" order={order} setOrder={setOrder} />
              <th>Top token</th>
            </tr>
          </thead>
          <tbody ref={body}>
            {rows.slice(0, MOST_ROWS).map((row, i) => (
              <tr
                key={row.feature}
                aria-selected={i === cursor}
                class={row.feature === feature ? "current" : ""}
                onClick={() => choose(row)}
              >
                <td>
                  <button type="button">{row.feature}</button>
                </td>
                <td>{row.density === 0 ? "dead" : percent(row.density)}</td>
                <td>{row.density === 0 ? "" : number(row.max)}</td>
                <td>{row.token < 0 ? "" : <Chip list={texts.runs(row.token)} />}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <p class="quiet" role="status">
        {rows.length === 0 ? "No feature matches." : plural(rows.length, "feature")}
        {rows.length > MOST_ROWS && `, the first ${MOST_ROWS} shown`}
      </p>
    </div>
  );
}

function Sort({ name, title, order, setOrder }: { name: Order; title: string; order: Order; setOrder: (order: Order) => void }): VNode {
  return (
    <th aria-sort={order !== name ? "none" : name === "feature" ? "ascending" : "descending"}>
      <button type="button" onClick={() => setOrder(name)}>
        {title}
        {order === name ? (name === "feature" ? " ↑" : " ↓") : ""}
      </button>
    </th>
  );
}

function rowsOf({ summary }: Head): Row[] {
  return Array.from(summary.feature, (feature, i) => ({
    feature,
    density: summary.density[i] ?? 0,
    max: summary.max[i] ?? 0,
    token: summary.top_token[i] ?? -1,
  }));
}

function found(rows: Row[], texts: TokenTexts, words: string, order: Order): Row[] {
  const wanted = words.trim().toLowerCase();
  const hits = rows.filter(
    (row) =>
      wanted === "" ||
      String(row.feature).startsWith(wanted) ||
      (row.token >= 0 && texts.plain(row.token).toLowerCase().includes(wanted)),
  );
  return order === "feature" ? hits : hits.sort((a, b) => b[order] - a[order]);
}
