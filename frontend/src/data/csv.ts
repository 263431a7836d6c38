// Tables of a feature as comma-separated values (RFC 4180).
import { edges } from "./bins";
import type { FeatureView, Histogram, LogitTable } from "./contract";

type Cell = string | number;

export interface Table {
  readonly name: string;
  readonly heads: readonly string[];
  readonly rows: readonly (readonly Cell[])[];
}

/** Every table of numbers that a page holds of a feature; `text` gives the text of a token id. */
export function tablesOf(view: FeatureView, text: (id: number) => string): Table[] {
  const { neuron_alignment: aligned, decoder_neighbours: near, logits_table: logits, top_tokens: tokens, acts_by_position: positions } = view;
  const found: Table[] = [];
  const add = (name: string, heads: readonly string[], ...columns: readonly ArrayLike<Cell>[]): void => {
    const rows = Array.from({ length: columns[0]?.length ?? 0 }, (_, i) => columns.map((column) => column[i] ?? ""));
    if (rows.length > 0) found.push({ name, heads, rows });
  };
  if (aligned !== null) add("neuron alignment", ["neuron", "weight", "share_of_l1"], aligned.index, aligned.value, aligned.share);
  for (const name of ["correlated_neurons", "correlated_features", "correlated_b_features"] as const) {
    const table = view[name];
    const head = name === "correlated_neurons" ? "neuron" : "feature";
    if (table !== null) add(name.replaceAll("_", " "), [head, "pearson", "cosine"], table.index, table.pearson, table.cosine);
  }
  if (near !== null) add("decoder neighbours", ["feature", "cosine"], near.index, near.cosine);
  if (logits !== null) add("logits", ["token_id", "token", "logit_effect"], ...logitColumns(logits, text));
  if (tokens !== null) {
    const texts = Array.from(tokens.tokens, text);
    add("top tokens", ["token_id", "token", "firings", "mass_share"], tokens.tokens, texts, tokens.n_firings, tokens.mass_share);
  }
  if (view.acts_histogram !== null) add("activations", ["from", "to", "firings"], ...binColumns(view.acts_histogram));
  if (view.logits_histogram !== null) add("logit effects", ["from", "to", "tokens"], ...binColumns(view.logits_histogram));
  if (positions !== null) {
    const from = Array.from(positions.n_tokens, (_, i) => i * positions.width);
    add("by position", ["from_position", "tokens", "firings", "mean"], from, positions.n_tokens, positions.n_firings, positions.mean);
  }
  return found;
}

/** Pushed up, then pushed down. */
function logitColumns({ top_tokens, top_values, bottom_tokens, bottom_values }: LogitTable, text: (id: number) => string): ArrayLike<Cell>[] {
  const ids = [...top_tokens, ...bottom_tokens];
  return [ids, ids.map(text), [...top_values, ...bottom_values]];
}

function binColumns(histogram: Histogram): ArrayLike<Cell>[] {
  const ends = Array.from(histogram.counts, (_, i) => edges(histogram, i));
  return [ends.map(([from]) => from), ends.map(([, to]) => to), histogram.counts];
}

export function csv({ heads, rows }: Table): string {
  return [heads, ...rows].map((row) => row.map(cell).join(",") + "\r\n").join("");
}

/** Numbers in full; text in quotes where it needs them. */
function cell(value: Cell): string {
  const text = String(value);
  return /[",\r\n]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
