// Which columns the table shows, and filters by typed numbers.
import type { VNode } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import type { ColumnInfo } from "../../data/contract";
import type { Range } from "../../state/explorer/order";
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
    const value = text.trim() === "" ? NaN : Number(text);
    return Number.isNaN(value) ? otherwise : column.percent ? value / 100 : value;
  };
  return (
    <Menu class="chooser" title="Columns and filters">
      {() => (
        <ul>
          {columns.map((column) => {
            const { name, title, meaning, kind, percent } = column;
            const range = where.find((one) => one.column === name);
            const change = (end: "low" | "high", text: string): void => {
              const next = { column: name, low: range?.low ?? -Infinity, high: range?.high ?? Infinity, [end]: bound(text, column, end === "low" ? -Infinity : Infinity) };
              filter(name, next.low === -Infinity && next.high === Infinity ? null : next);
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
                    <Limit value={value(range?.low)} label={`${title} at least${percent ? ", in percent" : ""}`} placeholder="from" take={(text) => change("low", text)} />
                    <Limit value={value(range?.high)} label={`${title} at most${percent ? ", in percent" : ""}`} placeholder="to" take={(text) => change("high", text)} />
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

interface LimitProps {
  readonly value: string;
  readonly label: string;
  readonly placeholder: string;
  readonly take: (text: string) => void;
}

/** What is typed stands until it is taken, also where the table is drawn again meanwhile. */
function Limit({ value, label, placeholder, take }: LimitProps): VNode {
  const box = useRef<HTMLInputElement>(null);
  useLayoutEffect(() => {
    if (box.current !== null) box.current.value = value;
  }, [value]);
  return (
    <input
      ref={box}
      type="text"
      inputMode="decimal"
      size={7}
      aria-label={label}
      placeholder={placeholder}
      onChange={(event) => {
        const text = event.currentTarget.value;
        if (Number.isNaN(Number(text))) event.currentTarget.value = value;
        else take(text);
      }}
    />
  );
}
