// The map of decoder directions in the table's place: the same filters, the card beside it.
import type { VNode } from "preact";
import { useEffect, useState } from "preact/hooks";
import { Chips } from "../../components/explorer/Chips";
import { DecoderMap } from "../../components/explorer/DecoderMap";
import { FailedLoad } from "../../components/Messages";
import type { DecoderMap as MapOfFeatures } from "../../data/contract";
import type { ExplorerSource } from "../../data/explorer";
import type { TokenTexts } from "../../data/tokens";
import type { ExplorerAddress } from "../../state/explorer/address";
import { useColumns, useRowTexts } from "../../state/explorer/columns";
import type { Lasso } from "../../state/explorer/lasso";
import type { Table } from "../../state/explorer/table";
import type { Moves } from "../../state/history";
import { reasonOf } from "../../state/load";

export interface MapPaneProps {
  readonly source: ExplorerSource;
  readonly texts: TokenTexts;
  readonly table: Table;
  readonly address: ExplorerAddress;
  readonly move: Moves<ExplorerAddress>;
  readonly current: number | null;
  readonly lasso: Lasso;
  /** Ways in which the words of the search were found. */
  readonly found: VNode | null;
}

export function MapPane({ source, texts, table, address, move, current, lasso, found: ways }: MapPaneProps): VNode {
  const [found, setFound] = useState<MapOfFeatures | string | null>(null);
  useEffect(() => {
    source.map().then(setFound, (error: unknown) => setFound(reasonOf(error)));
  }, [source]);
  const numbers = source.info.columns.filter(({ kind }) => kind === "number");
  const column = numbers.find(({ name }) => name === address.colour) ?? null;
  const data = useColumns(source, column === null ? [] : [column.name]);
  const { text, want } = useRowTexts(source);
  const name = (feature: number): string => {
    const top = text(feature)?.top ?? -1;
    return top < 0 ? String(feature) : `${feature} ${texts.raw(Int32Array.of(top)).trim()}`;
  };
  const narrowed = address.where.length > 0 || table.scores !== null || lasso.features !== null;
  return (
    <section class="table-pane map-pane" aria-label="Map of features">
      {ways}
      <div class="table-tools">
        <Chips source={source} table={table} address={address} move={move} lasso={lasso} />
        <label>
          Colour by{" "}
          <select onChange={(event) => move({ colour: event.currentTarget.value }, "replace")}>
            <option value="none" selected={column === null}>
              nothing
            </option>
            {numbers.map((one) => (
              <option key={one.name} value={one.name} selected={one === column}>
                {one.title}
              </option>
            ))}
          </select>
        </label>
      </div>
      {typeof found === "string" && <FailedLoad what="The map" reason={found} />}
      {found === null && <p class="message">Loading the map…</p>}
      {found !== null && typeof found !== "string" && (
        <DecoderMap
          map={found}
          column={column}
          colour={column === null ? null : data.values(column.name)}
          shown={narrowed ? table.mask : null}
          current={current}
          name={name}
          open={(feature) => move({ feature }, "replace")}
          lasso={lasso.set}
          inSight={want}
        />
      )}
    </section>
  );
}
