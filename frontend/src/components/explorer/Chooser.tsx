// Which columns the table shows, and filters by typed numbers.
import type { VNode } from "preact";
import type { ColumnInfo } from "../../data/contract";
import type { Range } from "../../state/explorer/order";
import { Typed } from "../../marks/Typed";
import { Menu } from "./Menu";

export interface ChooserProps {
  readonly columns: readonly ColumnInfo[];
  readonly shown: readonly string[];
  readonly set: (columns: readonly string[]) => void;
  readonly where: readonly Range[];
  readonly filter: (column: string, range: Range | null) => void;
}

export function Chooser({ columns, shown, set, where, filter }: ChooserProps): VNode {
  const bound = (text: string, column: ColumnInfo, otherwise: number): number => {
    if (text.trim() === "") return otherwise;
    return column.percent ? Number(text) / 100 : Number(text);
  };
  return (
    <Menu class="chooser" title="Columns and filters">
      {() => (
        <ul>
          {columns.map((column) => {
            const { name, title, meaning, kind, percent } = column;
            const range = where.find((one) => one.column === name);
            const change = (end: "low" | "high", text: string): boolean => {
              if (Number.isNaN(Number(text))) return false;
              const next = { column: name, low: range?.low ?? -Infinity, high: range?.high ?? Infinity, [end]: bound(text, column, end === "low" ? -Infinity : Infinity) };
              filter(name, next.low === -Infinity && next.high === Infinity ? null : next);
              return true;
            };
            const value = (limit: number | undefined): string => (limit === undefined || !Number.isFinite(limit) ? "" : String(Number(((percent ? 100 : 1) * limit).toPrecision(6))));
            return (
              <li key={name} title={meaning}>
                <label>
                  <input
                    type="checkbox"
                    checked={shown.includes(name)}
                    onChange={(event) => set(event.currentTarget.checked ? columns.filter((one) => one === column || shown.includes(one.name)).map((one) => one.name) : shown.filter((one) => one !== name))}
                  />{" "}
                  {title}
                </label>
                {kind === "number" && (
                  <span class="limits">
                    <Typed value={value(range?.low)} size={7} name={`${title} at least${percent ? ", in percent" : ""}`} placeholder="from" take={(text) => change("low", text)} />
                    <Typed value={value(range?.high)} size={7} name={`${title} at most${percent ? ", in percent" : ""}`} placeholder="to" take={(text) => change("high", text)} />
                    <span class="unit">{percent ? "%" : ""}</span>
                  </span>
                )}
              </li>
            );
          })}
        </ul>
      )}
    </Menu>
  );
}
