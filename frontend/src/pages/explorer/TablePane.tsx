// The table of all features, with its filters.
import type { RefObject, VNode } from "preact";
import { Chips } from "../../components/explorer/Chips";
import { Chooser } from "../../components/explorer/Chooser";
import { ColumnHead } from "../../components/explorer/ColumnHead";
import { Grid } from "../../components/explorer/Grid";
import { Take } from "../../components/explorer/Take";
import type { ColumnInfo } from "../../data/contract";
import type { ExplorerSource } from "../../data/explorer";
import type { TokenTexts } from "../../data/tokens";
import type { ExplorerAddress } from "../../state/explorer/address";
import { useRowTexts } from "../../state/explorer/columns";
import { narrowed, type Brush } from "../../state/explorer/brush";
import type { Lasso } from "../../state/explorer/lasso";
import type { NoteBook } from "../../state/explorer/notes";
import type { Range } from "../../state/explorer/order";
import type { Table } from "../../state/explorer/table";
import type { Moves } from "../../state/history";

export interface TablePaneProps {
  readonly source: ExplorerSource;
  readonly texts: TokenTexts;
  readonly table: Table;
  readonly address: ExplorerAddress;
  readonly move: Moves<ExplorerAddress>;
  readonly current: number | null;
  readonly book: NoteBook;
  /** Ways in which the words of the search were found. */
  readonly found: VNode | null;
  readonly grid: RefObject<HTMLDivElement | null>;
  readonly lasso: Lasso;
  readonly brush: Brush;
}

const WIDTHS: Readonly<Record<Exclude<ColumnInfo["kind"], "number">, string>> = { token: "minmax(96px, 115px)", label: "110px", tokens: "minmax(88px, 1fr)", words: "minmax(150px, 1fr)" };

/** A column of numbers has the room of its title, its arrow included. */
function widthOf({ kind, title }: ColumnInfo): string {
  return kind === "number" ? `${Math.max(82, 8 * title.length + 6)}px` : WIDTHS[kind];
}

export function TablePane({ source, texts, table, address, move, current, book, found, grid, lasso, brush }: TablePaneProps): VNode {
  const { columns, data, list, scores } = table;
  const { text, want } = useRowTexts(source);
  const worded = columns.some(({ kind }) => kind === "tokens" || kind === "token");
  const filter = (column: string, range: Range | null): void => {
    brush.end();
    move({ where: narrowed(address.where, column, range) }, "replace");
  };
  const sorted = (name: string): "up" | "down" | null => (name === table.sort ? (address.down ? "down" : "up") : null);
  const template = ["66px", ...(scores === null ? [] : ["66px"]), ...columns.map(widthOf)].join(" ");
  const failed = [...data.failed].filter(([name]) => columns.some((one) => one.name === name) || table.sort === name);
  return (
    <section class="table-pane" aria-label="All features">
      {found}
      <div class="table-tools">
        <Chips source={source} table={table} address={address} move={move} lasso={lasso} />
        <Take source={source} table={table} texts={texts} text={text} />
        <Chooser columns={source.info.columns} shown={address.columns} set={(names) => move({ columns: names }, "replace")} where={address.where} filter={filter} />
      </div>
      {failed.map(([name, reason]) => (
        <p key={name} class="message failed" role="alert">
          The column {name} can't be had: {reason}
        </p>
      ))}
      <Grid
        grid={grid}
        list={list}
        total={table.left ?? 0}
        whole={table.whole}
        columns={columns}
        labellings={source.head.labellings}
        data={data}
        texts={texts}
        text={text}
        scores={scores}
        noted={new Set([...book.notes.values()].flatMap((note) => (note.text === "" ? [] : [note.feature])))}
        current={current}
        asked={JSON.stringify([table.sort, address.down, address.where, brush.now, address.words, address.way])}
        open={(feature) => move({ feature }, "replace")}
        inSight={worded ? want : nothing}
        template={template}
        head={
          <div class="grid-head" role="row" aria-rowindex={1}>
            <Plain title="Feature" meaning="Its number in the dictionary" sorted={sorted("feature")} sort={(down) => move({ sort: "feature", down }, "replace")} />
            {scores !== null && <Plain title="Match" meaning={table.meaning} sorted={sorted("score")} sort={(down) => move({ sort: "score", down }, "replace")} />}
            {columns.map((column) => (
              <ColumnHead
                key={column.name}
                column={column}
                values={column.kind === "number" ? data.values(column.name) : null}
                mask={table.but(column.name)}
                range={address.where.find((one) => one.column === column.name) ?? null}
                sorted={sorted(column.name)}
                sort={(down) => move({ sort: column.name, down }, "replace")}
                filter={(range) => filter(column.name, range)}
                brush={brush}
              />
            ))}
          </div>
        }
      />
    </section>
  );
}

function nothing(): void {
  // No column needs the texts of rows.
}

interface PlainProps {
  readonly title: string;
  readonly meaning: string;
  readonly sorted: "up" | "down" | null;
  readonly sort: (down: boolean) => void;
}

function Plain({ title, meaning, sorted, sort }: PlainProps): VNode {
  return (
    <div class="column-head" role="columnheader" aria-sort={sorted === null ? "none" : sorted === "down" ? "descending" : "ascending"} title={meaning}>
      <button type="button" class="by" onClick={() => sort(sorted === "up")}>
        {title}
        {sorted === null ? "" : sorted === "down" ? " ↓" : " ↑"}
      </button>
    </div>
  );
}
