// A card's columns, drawn as the layout says.
import type { FunctionComponent, VNode } from "preact";
import type { Card } from "../state/card";
import { ActsByPosition } from "./ActsByPosition";
import { ActsHistogram } from "./ActsHistogram";
import { Custom } from "./Custom";
import { DecoderNorms } from "./DecoderNorms";
import { FeatureTables } from "./FeatureTables";
import { Labels } from "./Labels";
import { LogitsByPlace } from "./LogitsByPlace";
import { LogitsHistogram } from "./LogitsHistogram";
import { LogitsTable } from "./LogitsTable";
import { UnknownComponent } from "./Messages";
import { ModelDiff } from "./ModelDiff";
import { ProbeLogitsTables } from "./ProbeLogitsTables";
import { Prompt } from "./Prompt";
import { SeqMultiGroup } from "./SeqMultiGroup";
import { TopTokens } from "./TopTokens";
import type { ComponentProps } from "./types";
import type { ColumnSpec } from "../data/contract";
import type { Head } from "../data/source";

/** What draws each component that a layout can name. */
const COMPONENTS: Readonly<Record<string, FunctionComponent<ComponentProps>>> = {
  FeatureTables,
  ActsByPosition,
  ActsHistogram,
  DecoderNorms,
  Labels,
  LogitsByPlace,
  LogitsHistogram,
  LogitsTable,
  ModelDiff,
  ProbeLogitsTables,
  Prompt,
  SeqMultiGroup,
  TopTokens,
};

/** Components that stand in a narrow column. */
const TABLES: ReadonlySet<string> = new Set(["FeatureTables", "ActsByPosition", "DecoderNorms", "Labels", "ModelDiff", "TopTokens"]);

/** What all components of a card share. */
export type Shared = Omit<ComponentProps, "card" | "options" | "type" | "places" | "share">;

interface ColumnsProps {
  readonly card: Card;
  readonly head: Head;
  readonly several: boolean;
  readonly shared: Shared;
}

/** The layout's columns; where cards are columns themselves, tables of numbers come last. */
export function Columns({ card, head, several, shared }: ColumnsProps): VNode {
  const columns = head.layout.columns.map((column, i) => ({ column, i, rank: several && isTables(column) ? 1 : 0 }));
  const ofPlaces = { places: head.meta.places, share: shareOf(head, card.view.feature) };
  return (
    <>
      {columns.sort((a, b) => a.rank - b.rank).map(({ column, i }) => (
        <div key={i} class={`column ${isWide(column) ? "wide" : "narrow"} ${isTables(column) ? "tables" : ""}`}>
          {column.components.map(({ type, options }) => {
            const Draw = drawerOf(type, head);
            return (
              <div key={type} class="part">
                {Draw === undefined ? <UnknownComponent type={type} /> : <Draw type={type} card={card} options={options} {...ofPlaces} {...shared} />}
              </div>
            );
          })}
        </div>
      ))}
    </>
  );
}

/** Relative norm of the second model's decoder of a feature of the page; NaN where there is none. */
function shareOf({ summary }: Head, feature: number): number {
  return summary.share?.[summary.feature.indexOf(feature)] ?? NaN;
}

/** What draws a component: the user's own come with the page, the others with the front end. */
function drawerOf(type: string, head: Head): FunctionComponent<ComponentProps> | undefined {
  if (head.modules.includes(type)) return Custom;
  return Object.hasOwn(COMPONENTS, type) ? COMPONENTS[type] : undefined;
}

function isWide(column: ColumnSpec): boolean {
  return column.components.some((c) => c.type === "SeqMultiGroup");
}

function isTables(column: ColumnSpec): boolean {
  return column.components.every((c) => TABLES.has(c.type));
}

export function columnWidth(column: ColumnSpec): string {
  if (column.width !== null) return `${column.width}px`;
  if (isWide(column)) return "minmax(0, 1fr)";
  return isTables(column) ? "260px" : "minmax(320px, 400px)";
}
