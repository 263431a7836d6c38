// The explorer's data from a notebook's kernel: questions and answers are messages of a widget.
import { openOver, type Wire } from "./http";
import type { ExplorerSource } from "./explorer";

/** What anywidget hands over of a widget's model. */
export interface Model {
  readonly get: (name: string) => unknown;
  readonly set: (name: string, value: unknown) => void;
  readonly save_changes: () => void;
  readonly send: (content: unknown) => void;
  readonly on: (event: string, listener: (...args: never[]) => void) => void;
  readonly off: (event: string, listener: (...args: never[]) => void) => void;
  readonly widget_manager?: { readonly kernel?: { readonly status?: string } | null };
}

/** Milliseconds between looks at a kernel that has not answered. */
const LOOKS = 2000;
/** Looks that a kernel which is known to be idle, or one of which nothing is known, may be silent for. */
const IDLE_LOOKS = 3;
const UNKNOWN_LOOKS = 30;

/** Milliseconds that a card stays open until the notebook keeps it. */
const STAYS = 500;
/** Cards among which the open one is found. */
const MOST_CARDS = 20;

const GONE = "the notebook's kernel is not running any more; what is shown stays. Run the cell again for more";
const SILENT = "the notebook's kernel does not answer; it may have been restarted, or be busy. Run the cell again for more";

interface Answer {
  readonly id: number;
  readonly block?: string;
  readonly error?: string;
  readonly end?: boolean;
}

/** A question on its way. */
interface Asked {
  readonly path: string;
  readonly take: (block: Uint8Array) => void;
  readonly end: () => void;
  readonly fail: (error: Error) => void;
  silent: number;
}

export interface Messages {
  readonly source: ExplorerSource;
  /** A feature's card is open: it stays with the notebook. */
  readonly opened: (feature: number) => void;
  /** Let go of the model. */
  readonly close: () => void;
}

/** The explorer of a widget. What the widget holds from the start, its head and a card, needs no kernel. */
export async function openMessages(model: Model): Promise<Messages> {
  const wire = new MessageWire(model);
  try {
    return { source: await openOver(document, wire, "head"), opened: wire.opened, close: wire.close };
  } catch (error) {
    wire.close();
    throw error;
  }
}

class MessageWire implements Wire {
  private readonly asked = new Map<number, Asked>();
  private next = 0;
  private timer = 0;
  private gone = false;
  private readonly cards = new Map<string, string>();
  private open = "";
  private keeping: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly model: Model) {
    model.on("msg:custom", this.hear);
    model.on("comm:close", this.left);
  }

  readonly close = (): void => {
    this.model.off("msg:custom", this.hear);
    this.model.off("comm:close", this.left);
    clearInterval(this.timer);
    clearTimeout(this.keeping);
    this.asked.clear();
  };

  readonly opened = (feature: number): void => {
    this.open = String(feature);
    this.keep();
  };

  readonly block = async (path: string, how: RequestInit = {}): Promise<Uint8Array> => {
    const [name = "", kept] = this.text("_card").split(":");
    const held = path === "head" ? this.text("_head") : behind(path) === `card/${name}` ? kept : undefined;
    if (held !== undefined) return bytesOf(held);
    for await (const block of this.blocks(path, how)) return block;
    throw new Error("the kernel gave no answer");
  };

  async *blocks(path: string, how: RequestInit): AsyncGenerator<Uint8Array> {
    const waiting: Uint8Array[] = [];
    const now: { state: "open" | "ended" | Error } = { state: "open" };
    let wake = (): void => undefined;
    const id = this.ask(how, {
      path: behind(path),
      take: (block) => (waiting.push(block), wake()),
      end: () => ((now.state = "ended"), wake()),
      fail: (error) => ((now.state = error), wake()),
      silent: 0,
    });
    how.signal?.addEventListener("abort", () => this.asked.get(id)?.fail(new DOMException("nobody waits for it", "AbortError")), { once: true });
    try {
      for (;;) {
        const block = waiting.shift();
        if (block !== undefined) yield block;
        else if (now.state === "ended") return;
        else if (now.state instanceof Error) throw now.state;
        else await new Promise<void>((resolve) => (wake = resolve));
      }
    } finally {
      this.asked.delete(id);
    }
  }

  readonly written = (): Promise<never> => Promise.reject(new Error("a widget keeps no notes: serve the index with sae-vis serve"));

  private ask({ body, signal }: RequestInit, asked: Asked): number {
    const id = this.next++;
    if (signal?.aborted === true) asked.fail(new DOMException("nobody waits for it", "AbortError"));
    else if (this.dead()) asked.fail(new Error(GONE));
    else {
      this.asked.set(id, asked);
      if (this.timer === 0) this.timer = window.setInterval(this.look, LOOKS);
      this.model.send({ id, path: asked.path, body: typeof body === "string" ? (JSON.parse(body) as unknown) : null });
    }
    return id;
  }

  private readonly hear = (answer: Answer): void => {
    const asked = this.asked.get(answer.id);
    if (asked === undefined) return;
    asked.silent = 0;
    if (answer.block !== undefined) {
      asked.take(bytesOf(answer.block));
      const [, feature] = /^(?:card|full)\/(\d+)$/.exec(asked.path) ?? [];
      if (feature !== undefined) this.remember(feature, answer.block);
    }
    if (answer.error !== undefined) asked.fail(new Error(answer.error));
    if (answer.end === true) asked.end();
  };

  private readonly left = (): void => {
    this.gone = true;
    for (const asked of this.asked.values()) asked.fail(new Error(GONE));
  };

  /** A kernel that works at something is waited for; one that is gone, or has long been silent without a reason, is not. */
  private readonly look = (): void => {
    if (this.asked.size === 0) {
      clearInterval(this.timer);
      this.timer = 0;
      return;
    }
    const status = this.model.widget_manager?.kernel?.status;
    for (const asked of this.asked.values()) {
      asked.silent = status === "busy" ? 0 : asked.silent + 1;
      if (this.dead()) asked.fail(new Error(GONE));
      else if (asked.silent > (status === "idle" ? IDLE_LOOKS : UNKNOWN_LOOKS)) asked.fail(new Error(SILENT));
    }
  };

  private dead(): boolean {
    const manager = this.model.widget_manager;
    if (this.gone || manager === undefined || !("kernel" in manager)) return this.gone;
    const { kernel } = manager;
    return kernel === null || kernel === undefined || ["dead", "terminating", "autorestarting"].includes(kernel.status ?? "");
  }

  private remember(feature: string, block: string): void {
    this.cards.delete(feature);
    this.cards.set(feature, block);
    const oldest = this.cards.keys().next().value;
    if (this.cards.size > MOST_CARDS && oldest !== undefined) this.cards.delete(oldest);
    if (feature === this.open) this.keep();
  }

  /** Gives the open card to the model, which stays with the notebook, once the reader stops at it. */
  private keep(): void {
    clearTimeout(this.keeping);
    this.keeping = setTimeout(() => {
      const block = this.cards.get(this.open);
      if (block === undefined) return;
      this.model.set("_card", `${this.open}:${block}`);
      if (!this.dead()) this.model.save_changes();
    }, STAYS);
  }

  private text(name: string): string {
    const found = this.model.get(name);
    return typeof found === "string" ? found : "";
  }
}

/** A path behind the index's identity: a widget has one index. */
function behind(path: string): string {
  return path.replace(/^i\/[^/]*\//, "");
}

function bytesOf(base64: string): Uint8Array {
  return Uint8Array.from(atob(base64), (sign) => sign.charCodeAt(0));
}
