// How the feature fires over the labels of the corpus: a bar and a row of numbers for each label.
import type { VNode } from "preact";
import { useRef, useState } from "preact/hooks";
import { tip, type Card } from "../state/card";
import { count, number, percent, plural, signed } from "../data/format";
import { Meaning } from "../marks/Meaning";
import type { LabellingWords, LabelProfile } from "../data/contract";
import { useSignal } from "../state/signal";
import { NotComputed } from "./Messages";
import type { ComponentProps } from "./types";

/** One label, or what has none. */
interface Row {
  /** Its place in the labelling; -1: no label. */
  readonly code: number;
  readonly name: string;
  readonly n: number;
  readonly tokens: number;
  /** NaN where no unmasked token has the label. */
  readonly density: number;
  readonly lift: number;
  readonly lines: readonly string[];
}

export function Labels({ card, options }: ComponentProps): VNode {
  const { labels } = card.view;
  const least = Number(options["n_rows"]);
  if (labels.length > 0) return <>{labels.map((profile) => <OneLabelling key={profile.labelling} card={card} profile={profile} least={least} />)}</>;
  return (
    <section>
      <h3>By label</h3>
      <NotComputed what="firings by label (the index's text has no labels)" />
    </section>
  );
}

function OneLabelling({ card, profile, least }: { card: Card; profile: LabelProfile; least: number }): VNode | null {
  const words = card.head.labellings[profile.labelling];
  if (words === undefined) return null;
  return (
    <section class="by-label">
      <header class="titled">
        <h3>By {words.name}</h3>
        <span class="quiet">
          {card.dead ? (
            "never fires"
          ) : (
            <>
              <Meaning of="unevenness">unevenness</Meaning> {number(profile.unevenness)} bits
            </>
          )}
        </span>
      </header>
      {words.labels.length === 0 ? <p class="quiet">No text has a label.</p> : <Table card={card} words={words} profile={profile} least={least} />}
    </section>
  );
}

interface TableProps {
  readonly card: Card;
  readonly words: LabellingWords;
  readonly profile: LabelProfile;
  readonly least: number;
}

function Table({ card, words, profile, least }: TableProps): VNode {
  const body = useRef<HTMLTableSectionElement>(null);
  const [active, setActive] = useState(-1);
  const [whole, setWhole] = useState(false);
  const token = useSignal(card.token);
  const rows = rowsOf(card, words, profile);
  const most = Math.max(card.view.stats.density, ...rows.map((row) => row.density || 0)) || 1;
  const hidden = whole || rows.length <= least + 1 ? 0 : rows.length - least;
  const first = hidden === 0 ? rows.length : Math.ceil(least / 2);
  const shown = hidden === 0 ? rows : [...rows.slice(0, first), ...rows.slice(first + hidden)];
  const point = (at: number): void => {
    setActive(at);
    const row = shown[at];
    const box = body.current?.getBoundingClientRect(); // of all rows: the tooltip must not cover the next one
    if (row === undefined || box === undefined) {
      card.range.set(null);
      tip.set(null);
      return;
    }
    card.range.set({ of: "label", labelling: profile.labelling, low: row.code, high: row.code, closed: true });
    tip.set({ kind: "lines", lines: row.lines, box });
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    const by = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (event.target instanceof HTMLButtonElement) return;
    if (by !== undefined) point(Math.min(Math.max(active + by, 0), shown.length - 1));
    else if (event.key === "Escape" && active >= 0) point(-1);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  const at = (event: Event): number => {
    const row = event.target instanceof Element ? event.target.closest<HTMLElement>("[data-label]") : null;
    return row === null ? -1 : Number(row.dataset["label"]);
  };
  const linked = token === null ? null : (token.labels[profile.labelling] ?? null);
  return (
    <table
      class="labels"
      style={{ "--overall": `${(100 * card.view.stats.density) / most}%` }}
      tabIndex={0}
      aria-label={`Density by ${words.name}; overall ${percent(card.view.stats.density)}. Arrow keys move over the labels.`}
      onPointerOver={(event) => at(event) !== active && point(at(event))}
      onPointerLeave={() => point(-1)}
      onBlur={() => point(-1)}
      onKeyDown={onKeyDown}
    >
      <thead>
        <tr>
          <th scope="col">Label</th>
          <th scope="col" title="The line: density over all tokens">
            <span class="unseen">Density as a bar</span>
          </th>
          <th scope="col" title="Share of the label's unmasked tokens on which it fires">
            Density
          </th>
          <th scope="col">
            <Meaning of="lift">Lift</Meaning>
          </th>
        </tr>
      </thead>
      <tbody ref={body}>
        {shown.slice(0, first).map((row, i) => (
          <LabelRow key={row.code} row={row} place={i} most={most} active={i === active} linked={linked === row.code} />
        ))}
        {hidden > 0 && (
          <tr class="more">
            <td colSpan={4}>
              <button type="button" onClick={() => setWhole(true)}>
                {plural(hidden, "more label")}
              </button>
            </td>
          </tr>
        )}
        {shown.slice(first).map((row, i) => (
          <LabelRow key={row.code} row={row} place={first + i} most={most} active={first + i === active} linked={linked === row.code} />
        ))}
      </tbody>
    </table>
  );
}

interface LabelRowProps {
  readonly row: Row;
  readonly place: number;
  /** The largest density, which fills the bar. */
  readonly most: number;
  readonly active: boolean;
  /** Whether the token that is pointed at has this label. */
  readonly linked: boolean;
}

function LabelRow({ row, place, most, active, linked }: LabelRowProps): VNode {
  const none = Number.isNaN(row.density);
  return (
    <tr data-label={place} class={`${active ? "active" : ""} ${linked ? "linked" : ""} ${row.code < 0 ? "quiet" : ""}`}>
      <th scope="row" dir="auto" title={row.name}>
        {row.name}
      </th>
      <td class="bar-of">
        <i style={{ "--share": `${none ? 0 : (100 * row.density) / most}%` }} />
      </td>
      <td>{none ? "no tokens" : percent(row.density)}</td>
      <td>{Number.isNaN(row.lift) ? "" : `×${number(row.lift)}`}</td>
    </tr>
  );
}

/** The densest first, then labels without tokens; what has no label last, where there is any. */
function rowsOf(card: Card, words: LabellingWords, profile: LabelProfile): Row[] {
  const overall = card.view.stats.density;
  const end = card.head.meta.signed ? "peak" : "max";
  const one = (i: number): Row => {
    const [n, tokens] = [profile.n_firings[i] ?? 0, words.n_tokens[i] ?? 0];
    const density = tokens === 0 ? NaN : n / tokens;
    const code = i < words.labels.length ? i : -1;
    const name = code < 0 ? "no label" : (words.labels[i] ?? "");
    const documents = `${count(profile.n_documents[i] ?? 0)} of ${plural(words.n_documents[i] ?? 0, "document")}`;
    const lines = [
      `${words.name}: ${name}`,
      tokens === 0 ? "no unmasked token has this label" : `fires on ${percent(density)}: ${count(n)} of ${plural(tokens, "unmasked token")}`,
      ...(n === 0 ? [] : [`in ${documents}`, `mean ${number(profile.mean[i] ?? NaN)}, ${end} ${number(profile.peak[i] ?? NaN)}`]),
      ...(overall > 0 && tokens > 0 ? [`×${number(density / overall)} of the density over all tokens, ${percent(overall)}`] : []),
      ...(code < 0 || n === 0 ? [] : [`log-odds against other labels ${signed(profile.log_odds[i] ?? NaN)} bits`]),
    ];
    return { code, name, n, tokens, density, lift: overall > 0 ? density / overall : NaN, lines };
  };
  const rows = words.labels.map((_, i) => one(i)).sort((a, b) => (Number.isNaN(b.density) ? -1 : b.density) - (Number.isNaN(a.density) ? -1 : a.density));
  const rest = one(words.labels.length);
  return rest.tokens > 0 ? [...rows, rest] : rows;
}
