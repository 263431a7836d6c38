// A page's state in the model of a widget: what is chosen by names that Python knows, the rest as an address.
import type { Model } from "../data/messages";
import type { Range } from "./explorer/order";
import type { How, Keeper } from "./keeper";

/** A filter as Python has it; null: no limit at that end. */
interface Filter {
  readonly column: string;
  readonly low: number | null;
  readonly high: number | null;
}

const NAMES = ["selected", "filters", "search", "_address"] as const;

export class ModelKeeper implements Keeper {
  private writing = false;
  /** The open feature where nobody chose it: it changes with the table. */
  private usual: number | null = null;

  constructor(private readonly model: Model) {}

  readonly read = (): string => {
    const said = new URLSearchParams(this.text("_address"));
    const selected = this.model.get("selected");
    if (typeof selected === "number" && selected !== this.usual) said.set("f", String(selected));
    const where = (this.model.get("filters") as readonly Filter[]).map(({ column, low, high }) => `${column}:${low ?? ""}~${high ?? ""}`);
    if (where.length > 0) said.set("where", where.join());
    const words = this.text("search");
    if (words !== "") said.set("q", words);
    return `#${said.toString()}`;
  };

  readonly write = (hash: string, _: How): void => {
    const said = new URLSearchParams(hash.replace(/^#/, ""));
    const feature = said.get("f");
    const filters = rangesOf(said.get("where") ?? "").map(({ column, low, high }) => ({ column, low: finite(low), high: finite(high) }));
    this.usual = null;
    this.put({ selected: feature === null ? null : Number(feature), filters, search: said.get("q") ?? "", _address: rest(said) });
  };

  /** The feature that is open, for Python to know; `usual`: nobody chose it. */
  readonly opened = (feature: number, usual: boolean): void => {
    this.usual = usual ? feature : null;
    this.put({ selected: feature });
  };

  readonly follow = (changed: () => void): (() => void) => {
    const follow = (): void => {
      if (this.writing) return;
      changed();
    };
    const events = NAMES.map((name) => `change:${name}`);
    for (const event of events) this.model.on(event, follow);
    return () => {
      for (const event of events) this.model.off(event, follow);
    };
  };

  private put(values: Readonly<Record<string, unknown>>): void {
    const changed = Object.entries(values).filter(([name, value]) => JSON.stringify(this.model.get(name)) !== JSON.stringify(value));
    if (changed.length === 0) return;
    this.writing = true;
    for (const [name, value] of changed) this.model.set(name, value);
    this.writing = false;
    this.model.save_changes();
  }

  private text(name: string): string {
    return String(this.model.get(name) ?? "");
  }
}

/** What an address says beside what has a name in Python. */
function rest(said: URLSearchParams): string {
  const out = new URLSearchParams(said);
  for (const name of ["f", "where", "q"]) out.delete(name);
  return out.toString();
}

function rangesOf(text: string): Range[] {
  return text.split(",").flatMap((part) => {
    const [, column = "", low = "", high = ""] = /^(.+):([^~:]*)~([^~:]*)$/.exec(part) ?? [];
    return column === "" ? [] : [{ column, low: low === "" ? -Infinity : Number(low), high: high === "" ? Infinity : Number(high) }];
  });
}

function finite(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}
