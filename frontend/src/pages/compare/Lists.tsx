// Lists over all features of both dictionaries: without counterpart, in several pieces.
import type { VNode } from "preact";
import { useMemo, useState } from "preact/hooks";
import { SideMark } from "../../marks/SideMark";
import { SIDE_NAMES, type Side } from "../../state/sides";
import { count, number, percent, plural } from "../../data/format";
import { Chip } from "../../marks/TokenText";
import type { MatchTable, SplitTable } from "../../data/contract";
import type { By } from "../../state/address";
import { useCompare } from "../../state/compare/state";

/** Rows drawn at once. */
const MOST_ROWS = 300;
/** Best matches below this are counted as missing. */
const WEAK = 0.3;

interface HeadsProps {
  readonly columns: readonly (readonly [by: By | null, title: string, meaning: string])[];
}

/** The heads of a list; those that order it are buttons: the largest first, then the smallest. */
function Heads({ columns }: HeadsProps): VNode {
  const { address, move } = useCompare();
  return (
    <thead>
      <tr>
        {columns.map(([by, title, meaning]) => (
          <th key={title} title={meaning} aria-sort={address.by !== by ? "none" : address.down ? "descending" : "ascending"}>
            {by === null ? (
              title
            ) : (
              <button type="button" onClick={() => move({ by, down: address.by !== by ? by !== "feature" && by !== "pearson" : !address.down }, "replace")}>
                {title}
                {address.by === by ? (address.down ? " ↓" : " ↑") : ""}
              </button>
            )}
          </th>
        ))}
      </tr>
    </thead>
  );
}

/** A link to a pair, where the page holds the feature of A; to the feature's own page; or the number alone. */
function Number({ side, feature, partner }: { side: Side; feature: number; partner?: number }): VNode {
  const { href, has, comparison } = useCompare();
  const [a, b] = side === 0 ? [feature, partner ?? null] : [partner ?? -1, feature];
  const page = comparison.overview[side === 0 ? "a_page" : "b_page"];
  const label = `${SIDE_NAMES[side]} feature ${feature}`;
  if (has(a)) {
    return (
      <a href={href({ a, b, view: "pair", by: "usual", down: false })} aria-label={label}>
        {feature}
      </a>
    );
  }
  if (page === null) return <span title="not on this page">{feature}</span>;
  return (
    <a href={`${page}#f=${feature}`} aria-label={`${label}, on its own page`} title="on its own page">
      {feature} ↗
    </a>
  );
}

interface Match {
  readonly feature: number;
  readonly density: number;
  readonly token: number;
  readonly best: number;
  readonly pearson: number;
}

/** Every feature that fires, from the one that the other dictionary has least. */
export function Matches({ side }: { side: Side }): VNode {
  const { comparison, address, texts, has } = useCompare();
  const { overview } = comparison;
  const table = side === 0 ? overview.matches_a : overview.matches_b;
  const [only, setOnly] = useState(false);
  const all = useMemo(() => matchesOf(table), [table]);
  const rows = useMemo(() => {
    const by = address.by === "feature" || address.by === "density" ? address.by : "pearson";
    const kept = only ? all.filter((row) => has(side === 0 ? row.feature : row.best)) : all;
    return [...kept].sort((x, y) => (address.down ? -1 : 1) * (x[by] - y[by]) || x.feature - y.feature);
  }, [all, address.by, address.down, only, has, side]);
  const partial = useMemo(() => all.some((row) => !has(side === 0 ? row.feature : row.best)), [all, has, side]);
  const weak = all.filter((row) => row.pearson < WEAK).length;
  const other: Side = side === 0 ? 1 : 0;
  return (
    <section class="list" aria-labelledby="list-title">
      <header class="titled">
        <h2 id="list-title">
          Features of <SideMark side={side} /> by their best match in <SideMark side={other} />
        </h2>
        {partial && (
          <label class="switch">
            <input type="checkbox" checked={only} onChange={(event) => setOnly(event.currentTarget.checked)} /> on this page only
          </label>
        )}
      </header>
      <p class="quiet">
        The best match is the {SIDE_NAMES[other]} feature of largest Pearson correlation. {count(weak)} of{" "}
        {plural(all.length, "feature")} that fire have none of {WEAK} or more:{" "}
        {side === 0 ? "lost from B, if B comes after A" : "new in B"}.
      </p>
      <Distribution rows={all} />
      <div class="scroll-x">
        <table class="numbers">
          <Heads
            columns={[
              ["feature", `${SIDE_NAMES[side]} feature`, ""],
              ["pearson", "Best Pearson", "Largest Pearson correlation with any feature of the other"],
              [null, `Best match in ${SIDE_NAMES[other]}`, ""],
              ["density", "Density", "Share of unmasked tokens on which it fires"],
              [null, "Strongest token", "The token of the corpus on which it fires most strongly"],
            ]}
          />
          <tbody>
            {rows.slice(0, MOST_ROWS).map((row) => (
              <tr key={row.feature}>
                <td>
                  <Number side={side} feature={row.feature} {...(row.best >= 0 ? { partner: row.best } : {})} />
                </td>
                <td class="bar-cell" style={{ "--share": `${100 * row.pearson}%` }}>
                  {row.best < 0 ? "none" : number(row.pearson)}
                </td>
                <td>{row.best < 0 ? "" : <Number side={other} feature={row.best} partner={row.feature} />}</td>
                <td>{percent(row.density)}</td>
                <td>{row.token < 0 ? "" : <Chip list={texts.runs(row.token)} />}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {rows.length > MOST_ROWS && <p class="quiet">The first {MOST_ROWS} of {count(rows.length)}.</p>}
    </section>
  );
}

function matchesOf({ features, best, pearson }: MatchTable): Match[] {
  const all = Array.from(features.feature, (feature, i) => ({
    feature,
    density: features.density[i] ?? 0,
    token: features.top_token[i] ?? -1,
    best: best[i] ?? -1,
    pearson: pearson[i] ?? 0,
  }));
  return all.filter((row) => row.density > 0);
}

/** How many features have a best match in each tenth. */
function Distribution({ rows }: { rows: readonly Match[] }): VNode {
  const counts = new Array<number>(10).fill(0);
  for (const { pearson } of rows) counts[Math.min(Math.floor(pearson * 10), 9)]! += 1;
  const most = Math.max(...counts, 1);
  return (
    <table class="distribution" aria-label="Features by best Pearson correlation">
      <tbody>
        <tr>
          {counts.map((n, i) => (
            <td key={i} style={{ "--tall": `${Math.round((46 * n) / most)}px` }} title={`${count(n)} features between ${i / 10} and ${(i + 1) / 10}`}>
              <span class="n">{count(n)}</span>
              <span class="tenth">{(i / 10).toFixed(1)}</span>
            </td>
          ))}
        </tr>
      </tbody>
    </table>
  );
}

interface SplitRow {
  readonly place: number;
  readonly feature: number;
  readonly covered: number;
  readonly parts: number;
  /** Share that the largest part covers alone, and what the others add to it. */
  readonly first: number;
  readonly added: number;
}

/** Features of one dictionary that the other has in several pieces. */
export function Splits({ side }: { side: Side }): VNode {
  const { comparison, address } = useCompare();
  const table = side === 0 ? comparison.overview.splits : comparison.overview.merges;
  const other: Side = side === 0 ? 1 : 0;
  const rows = useMemo(() => ordered(splitsOf(table), address.by, address.down), [table, address.by, address.down]);
  return (
    <section class="list" aria-labelledby="list-title">
      <header class="titled">
        <h2 id="list-title">
          {side === 0 ? "Splits" : "Merges"}: features of <SideMark side={side} /> that <SideMark side={other} /> has in several pieces
        </h2>
      </header>
      <p class="quiet">
        A part fires on at least 10% of the feature’s firings, and at least half of the part’s own firings are the feature’s. Parts are
        listed as long as each adds 10% of the feature’s firings; together they cover at least half of them.
      </p>
      {rows.length === 0 ? (
        <p class="message">None: no feature of {SIDE_NAMES[side]} has two or more parts in {SIDE_NAMES[other]}.</p>
      ) : (
        <div class="scroll-x">
          <table class="numbers">
            <Heads
              columns={[
                ["feature", `${SIDE_NAMES[side]} feature`, ""],
                ["covered", "Covered", "Share of its firings on which at least one part fires"],
                [null, "Largest part", "Share of its firings on which the largest part fires"],
                ["added", "Others add", "Share of its firings on which another part fires, and the largest does not"],
                ["parts", "Parts", ""],
                [null, `In ${SIDE_NAMES[other]}: part, share of the feature’s firings`, ""],
              ]}
            />
            <tbody>
              {rows.slice(0, MOST_ROWS).map((row) => (
                <SplitLine key={row.feature} row={row} table={table} side={side} />
              ))}
            </tbody>
          </table>
        </div>
      )}
      {rows.length > MOST_ROWS && <p class="quiet">The first {MOST_ROWS} of {count(rows.length)}.</p>}
    </section>
  );
}

function SplitLine({ row, table, side }: { row: SplitRow; table: SplitTable; side: Side }): VNode {
  const other: Side = side === 0 ? 1 : 0;
  const from = table.offsets[row.place] ?? 0;
  const parts = Array.from({ length: row.parts }, (_, i) => from + i);
  return (
    <tr>
      <td>
        <Number side={side} feature={row.feature} partner={table.parts[from] ?? -1} />
      </td>
      <td class="bar-cell" style={{ "--share": `${100 * row.covered}%` }}>
        {percent(row.covered)}
      </td>
      <td>{percent(row.first)}</td>
      <td>{percent(row.added)}</td>
      <td>{row.parts}</td>
      <td>
        <div class="parts">
          {parts.map((i) => (
            <span key={i} title={`${percent(table.within[i] ?? NaN)} of its own firings are the feature's`}>
              <Number side={other} feature={table.parts[i] ?? -1} partner={row.feature} />{" "}
              <span class="quiet">{percent(table.covers[i] ?? NaN)}</span>
            </span>
          ))}
        </div>
      </td>
    </tr>
  );
}

function splitsOf({ feature, covered, offsets, covers }: SplitTable): SplitRow[] {
  return Array.from(feature, (id, place) => {
    const from = offsets[place] ?? 0;
    const [whole, first] = [covered[place] ?? NaN, covers[from] ?? NaN];
    return { place, feature: id, covered: whole, parts: (offsets[place + 1] ?? 0) - from, first, added: whole - first };
  });
}

/** By a column; as the page's data comes, descending by what the other parts add to the largest. */
function ordered(rows: readonly SplitRow[], by: By, down: boolean): SplitRow[] {
  const key = by === "usual" || by === "pearson" || by === "density" ? "place" : by;
  return [...rows].sort((x, y) => (down ? -1 : 1) * (x[key] - y[key]) || x.feature - y.feature);
}
