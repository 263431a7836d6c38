// What can be taken along of the features that are left: their ids for Python, the command for a site of them, a page of them, their numbers as CSV.
import type { VNode } from "preact";
import type { ExplorerSource } from "../../data/explorer";
import { count, plural } from "../../data/format";
import type { TokenTexts } from "../../data/tokens";
import type { RowText } from "../../state/explorer/columns";
import type { Table } from "../../state/explorer/table";
import { reasonOf } from "../../state/load";
import { say } from "../../state/notice";
import { copyAndSay } from "../copy";
import { Menu } from "./Menu";

/** Features in a list that is copied, at most. */
const MOST_COPIED = 10_000;
/** Features on a page that is made from the table, at most. */
const MOST_ON_PAGE = 2_000;

export interface TakeProps {
  readonly source: ExplorerSource;
  readonly table: Table;
  readonly texts: TokenTexts;
  readonly text: (feature: number) => RowText | null;
}

export function Take({ source, table, texts, text }: TakeProps): VNode {
  const { list } = table;
  const few = list.subarray(0, MOST_COPIED);
  const more = list.length > MOST_COPIED ? ` (the first ${count(MOST_COPIED)})` : "";
  return (
    <Menu class="copy-menu" title="Take along">
      {(close) => {
        const item = (name: string, what: string, made: () => string): VNode => (
          <li>
            <button
              type="button"
              onClick={() => {
                close();
                void copyAndSay(made(), `Copied ${plural(few.length, what)}${more}`);
              }}
            >
              {name}
              {more}
            </button>
          </li>
        );
        if (!table.whole) return <p class="quiet">Loading…</p>;
        return (
          <ul>
            {item("features=[…]", "feature", () => `features=[${few.join(", ")}]`)}
            {list.length > 0 && item("a site of them", "feature", () => siteOf(source, few))}
            {source.pageOf !== null && list.length > 0 && (
              <li>
                <button
                  type="button"
                  onClick={() => {
                    close();
                    void savePage(source, Array.from(list.subarray(0, MOST_ON_PAGE)));
                  }}
                >
                  a page of them{list.length > MOST_ON_PAGE ? ` (the first ${count(MOST_ON_PAGE)})` : ""}
                </button>
              </li>
            )}
            {item("rows as CSV", "row", () => csvOf(table, few, texts, text))}
          </ul>
        );
      }}
    </Menu>
  );
}

/** The command that writes a site of some features. */
function siteOf({ n, head }: ExplorerSource, features: Int32Array): string {
  const what = [head.meta.sae, head.meta.hook].filter((words) => words !== null).join(" at ");
  const chosen = features.length === n ? "" : ` ${Array.from(features).sort((a, b) => a - b).join(" ")}`;
  return `# of ${what}; the index's path is yours to fill in\nsae-vis site path/to/index${chosen} -o site\n`;
}

/** One HTML file of some features, to keep. */
async function savePage({ pageOf, head }: ExplorerSource, features: readonly number[]): Promise<void> {
  say(`Making a page of ${plural(features.length, "feature")}…`);
  try {
    const made = await pageOf?.(features, head.meta.title);
    if (made === undefined) return;
    const link = document.createElement("a");
    link.href = URL.createObjectURL(made);
    link.download = "features.html";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  } catch (error) {
    say(reasonOf(error));
  }
}

/** Numbers in full; texts of the rows that were in sight. */
function csvOf({ columns, data, scores }: Table, features: Int32Array, texts: TokenTexts, text: (feature: number) => RowText | null): string {
  const quoted = (value: string): string => (/[",\n\r]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);
  const cell = (name: string, kind: string, feature: number): string => {
    if (kind === "token") return quoted(text(feature) === null ? "" : texts.raw(Int32Array.of(text(feature)?.top ?? -1)));
    const value = data.values(name)?.[feature] ?? NaN;
    return Number.isNaN(value) ? "" : String(value);
  };
  const shown = columns.filter(({ kind }) => kind !== "tokens" && kind !== "words");
  const head = ["feature", ...(scores === null ? [] : ["match"]), ...shown.map(({ name }) => quoted(name))].join();
  const lines = Array.from(features, (feature) =>
    [feature, ...(scores === null ? [] : [scores.get(feature) ?? ""]), ...shown.map(({ name, kind }) => cell(name, kind, feature))].join(),
  );
  return [head, ...lines].join("\n") + "\n";
}
