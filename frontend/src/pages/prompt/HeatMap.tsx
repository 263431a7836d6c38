// Tokens by features: a row for each of the ranking's first features, a column for each token, coloured by the metric.
import type { VNode } from "preact";
import { useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { strength } from "../../marks/colours";
import { plural } from "../../data/format";
import { useSignal } from "../../state/signal";
import type { Place } from "../../state/address";
import { cellsOf, columnOf, placeIn, wordsOf, type Cells } from "./cells";
import { useChoose } from "./Ranking";
import { SIDE_NAMES, SIDE_TONES } from "../../state/sides";
import { Scale, type Ends } from "../../marks/prompt/Scale";
import { usePointed, usePrompt } from "../../state/prompt/state";
import { dotted, endsOf, valueWords } from "../../marks/prompt/words";

const ROW = 20;
const HEAD = 92;
const LABELS = 74;
/** Pixels of a column: of few tokens they are no wider, of many they scroll. */
const NARROWEST = 16;
const WIDEST = 44;
/** Steps of a colour: each is one path, so that the map has few elements however many cells it has. */
const LEVELS = 20;
/** Characters of a token above its column. */
const LONGEST = 11;

export function HeatMap(): VNode | null {
  const state = usePrompt();
  const { mapped, prompts, measure } = state;
  const [box, room] = useRoom();
  const cells = useMemo(() => cellsOf(state), [state.mapped, measure, prompts]);
  const width = Math.min(Math.max(Math.floor((room - LABELS) / Math.max(prompts.pillars.length, 1)), NARROWEST), WIDEST);
  if (mapped.length === 0) return null;
  const ends: Ends | null = prompts.two
    ? { tones: SIDE_TONES, words: ["higher in A", "higher in B"] }
    : endsOf(measure);
  return (
    <section class="heat" aria-labelledby="heat-title" ref={box}>
      <header class="titled">
        <h2 id="heat-title">Tokens by features</h2>
        <span class="quiet">
          {measure.metric.title}
          {prompts.two && ", A − B"}
        </span>
        <span class="quiet ends">
          <Scale ends={ends} most={valueWords(measure, cells.most, prompts.two)} />
        </span>
      </header>
      <div class="heat-box">
        <RowLabels />
        <Grid cells={cells} width={width} />
      </div>
      <HeatTable cells={cells} />
    </section>
  );
}

function useRoom(): [{ current: HTMLElement | null }, number] {
  const box = useRef<HTMLElement>(null);
  const [room, setRoom] = useState(900);
  useLayoutEffect(() => {
    const element = box.current;
    if (element === null) return undefined;
    const watcher = new ResizeObserver(() => setRoom(element.clientWidth));
    watcher.observe(element);
    return () => watcher.disconnect();
  });
  return [box, room];
}

function RowLabels(): VNode {
  const { mapped, prompts, pointer, open } = usePrompt();
  const choose = useChoose();
  const pointed = usePointed(pointer, (at) => at.row);
  const sizes = { "--head": `${HEAD}px`, "--row": `${ROW}px`, width: `${LABELS}px` };
  return (
    <ol class="heat-rows" style={sizes} onPointerLeave={() => pointer.set(null)}>
      {Array.from(mapped, (row) => {
        const id = prompts.part.firing.feature[row] ?? -1;
        return (
          <li
            key={row}
            class={`${row === pointed ? "pointed" : ""} ${open.includes(id) ? "open" : ""}`}
            onPointerEnter={() => pointer.set({ row })}
            onClick={() => choose(id)}
          >
            {id}
          </li>
        );
      })}
    </ol>
  );
}

function Grid({ cells, width }: { cells: Cells; width: number }): VNode {
  const state = usePrompt();
  const { prompts, mapped } = state;
  const n = prompts.pillars.length;
  const handlers = useCells(cells, width);
  const label = `Heat map of ${plural(mapped.length, "feature")} by ${plural(n, "token")}`;
  const keys = "Arrow keys move over the cells; Enter opens the feature's card.";
  return (
    <div class="heat-scroll" role="group" aria-label={`${label}. ${keys}`} tabIndex={0} {...handlers}>
      <svg width={n * width} height={HEAD + mapped.length * ROW} role="img" aria-label={label}>
        <Columns width={width} />
        <rect class="back" y={HEAD} width={n * width} height={mapped.length * ROW} />
        <Shades cells={cells} width={width} />
        <Crosshair width={width} />
      </svg>
    </div>
  );
}

function Columns({ width }: { width: number }): VNode {
  const { prompts, texts, sets, address } = usePrompt();
  return (
    <g class="heads">
      {prompts.pillars.map((pillar, x) => {
        const { side, position } = placeIn(pillar);
        const text = dotted(texts.plain(prompts.side(side).view.tokens[position] ?? -1));
        const chosen = address.span !== null && (sets[0]?.[pillar.a] === 1 || sets[1]?.[pillar.b] === 1);
        const alone = prompts.two && (pillar.a < 0 || pillar.b < 0);
        const only = alone ? `${SIDE_NAMES[side]} ` : "";
        const cut = [...text];
        return (
          <g key={x} class={`${chosen ? "chosen" : ""} ${alone ? "alone" : ""}`} transform={`translate(${x * width},${HEAD})`}>
            {chosen && <rect y={-HEAD} width={width} height={HEAD} />}
            <text transform={`translate(${width / 2},-6) rotate(-90)`} dy="0.35em">
              {only}
              {cut.length > LONGEST ? `${cut.slice(0, LONGEST - 1).join("")}…` : text}
            </text>
          </g>
        );
      })}
    </g>
  );
}

/** All cells of one shade in one path. */
function Shades({ cells, width }: { cells: Cells; width: number }): VNode {
  const paths = useMemo(() => {
    const found = new Map<string, { tone: string; level: number; d: string[] }>();
    const unknown: string[] = [];
    cells.fires.forEach((fires, i) => {
      if (fires === 0) return;
      const [x, y] = [(i % cells.n) * width, HEAD + Math.floor(i / cells.n) * ROW];
      const tone = cells.tones(i);
      if (tone === null) {
        unknown.push(`M${x + width / 2 - 2} ${y + ROW / 2}h4`);
        return;
      }
      const level = Math.ceil(cells.share(i) * LEVELS);
      const path = found.get(`${tone}${level}`) ?? { tone, level, d: [] };
      found.set(`${tone}${level}`, path);
      path.d.push(`M${x + 0.5} ${y + 0.5}h${width - 1}v${ROW - 1}h${1 - width}Z`);
    });
    return { shades: [...found.values()], unknown: unknown.join("") };
  }, [cells, width]);
  return (
    <g>
      {paths.shades.map(({ tone, level, d }) => (
        <path key={`${tone}${level}`} class={`shade ${tone}`} style={{ "--a": strength(level / LEVELS) }} d={d.join("")} />
      ))}
      <path class="unknown" d={paths.unknown} />
    </g>
  );
}

/** The row, the column and the cell that the pointer is on, here or elsewhere; and the cell that stays marked. */
function Crosshair({ width }: { width: number }): VNode {
  const { prompts, mapped, pointer, address } = usePrompt();
  const { place, row } = useSignal(pointer.at);
  const n = prompts.pillars.length;
  const column = (at: Place | null): number => (at === null ? -1 : columnOf(prompts.pillars, at));
  const [x, y] = [column(place), mapped.indexOf(row ?? -1)];
  const [heldX, heldY] = [column(address.held), mapped.indexOf(prompts.rowOf.get(address.feature ?? -1) ?? -1)];
  return (
    <g class="cross">
      {x >= 0 && <rect class="lane" x={x * width} width={width} height={HEAD + mapped.length * ROW} />}
      {y >= 0 && <rect class="lane" y={HEAD + y * ROW} width={n * width} height={ROW} />}
      {heldX >= 0 && heldY >= 0 && <rect class="held" x={heldX * width} y={HEAD + heldY * ROW} width={width} height={ROW} />}
      {x >= 0 && y >= 0 && <rect class="cell" x={x * width} y={HEAD + y * ROW} width={width} height={ROW} />}
    </g>
  );
}

interface CellHandlers {
  readonly onPointerMove: (event: PointerEvent) => void;
  readonly onPointerLeave: () => void;
  readonly onBlur: () => void;
  readonly onClick: (event: MouseEvent) => void;
  readonly onKeyDown: (event: KeyboardEvent) => void;
}

function useCells(cells: Cells, width: number): CellHandlers {
  const { prompts, mapped, pointer, move } = usePrompt();
  const at = useRef<readonly [number, number]>([-1, -1]);
  const show = (box: Element, x: number, y: number): void => {
    at.current = [x, y];
    const pillar = prompts.pillars[x];
    const corner = cornerOf(box);
    const near = new DOMRect(corner.left + x * width, corner.top + (y < 0 ? 0 : HEAD + y * ROW), width, y < 0 ? HEAD : ROW);
    pointer.set(pillar === undefined ? null : { place: placeIn(pillar), row: mapped[y] ?? null, near });
  };
  const hide = (): void => {
    at.current = [-1, -1];
    pointer.set(null);
  };
  const lock = (): void => {
    const [x, y] = at.current;
    const [pillar, row] = [prompts.pillars[x], mapped[y]];
    if (pillar === undefined) return;
    const place = placeIn(pillar);
    if (row === undefined) move({ span: { side: place.side, from: place.position, to: place.position }, held: null });
    else move({ feature: prompts.part.firing.feature[row] ?? null, held: place });
  };
  const find = (event: MouseEvent): [number, number] => {
    const corner = cornerOf(event.currentTarget as Element);
    return [Math.floor((event.clientX - corner.left) / width), Math.floor((event.clientY - corner.top - HEAD) / ROW)];
  };
  return {
    onPointerMove(event) {
      const [x, y] = find(event);
      if (x !== at.current[0] || Math.max(y, -1) !== at.current[1]) show(event.currentTarget as Element, x, Math.max(y, -1));
    },
    onPointerLeave: hide,
    onBlur: hide,
    onClick(event) {
      const [x, y] = find(event);
      at.current = [x, Math.max(y, -1)];
      lock();
    },
    onKeyDown(event) {
      const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (by === undefined && event.key !== "Enter") return;
      if (by === undefined) lock();
      else {
        const [x, y] = at.current[0] < 0 ? [0, 0] : [at.current[0] + (by[0] ?? 0), at.current[1] + (by[1] ?? 0)];
        const box = event.currentTarget as Element;
        const to = Math.min(Math.max(x, 0), cells.n - 1);
        reveal(box, to * width, width);
        show(box, to, Math.min(Math.max(y, 0), mapped.length - 1));
      }
      event.preventDefault();
      event.stopPropagation();
    },
  };
}

/** The corner of the picture, which scrolls within its box. */
function cornerOf(box: Element): { readonly left: number; readonly top: number } {
  const { left, top } = box.getBoundingClientRect();
  return { left: left - box.scrollLeft, top };
}

/** Scrolls a column into sight. */
function reveal(box: Element, left: number, width: number): void {
  if (left < box.scrollLeft) box.scrollLeft = left;
  else if (left + width > box.scrollLeft + box.clientWidth) box.scrollLeft = left + width - box.clientWidth;
}

/** The same numbers in a table, made when it is opened. */
function HeatTable({ cells }: { cells: Cells }): VNode {
  const state = usePrompt();
  const { prompts, mapped } = state;
  const [open, setOpen] = useState(false);
  return (
    <details class="data" onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>As a table</summary>
      {open && (
        <div class="scroll" tabIndex={0} role="region" aria-label="The heat map as a table">
          <table>
            <thead>
              <tr>
                <th scope="col">Feature</th>
                {prompts.pillars.map((pillar, x) => (
                  <th key={x} scope="col">
                    {wordsOf(state, pillar)}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {Array.from(mapped, (row, y) => (
                <tr key={row}>
                  <th scope="row">{prompts.part.firing.feature[row]}</th>
                  {prompts.pillars.map((_, x) => (
                    <td key={x}>{cells.words(y * cells.n + x)}</td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </details>
  );
}
