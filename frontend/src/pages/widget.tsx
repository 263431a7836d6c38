// The explorer in a notebook's cell: anywidget's `render`, which draws into a shadow of its own.
import { render as draw } from "preact";
import { FailedLoad } from "../components/Messages";
import { openMessages, type Model } from "../data/messages";
import { FrameContext, type Frame } from "../state/frame";
import { reasonOf } from "../state/load";
import { ModelKeeper } from "../state/model";
import { followTheme } from "../state/surroundings";
import { ExplorerApp } from "./explorer/ExplorerApp";
import { MapPane } from "./explorer/MapPane";
import { PromptPane } from "./explorer/PromptPane";
import { ReaderPane } from "./explorer/ReaderPane";
import { CardPane } from "./parts/card";
import "../styles/all.css";
import "./prompt/prompt.css";
import "./prompt/bar.css";
import "../marks/prompt/text.css";
import "./prompt/controls.css";
import "./prompt/ranking.css";
import "./prompt/heatmap.css";
import "./prompt/cards.css";
import "./prompt/details.css";
import "./explorer/explorer.css";
import "./explorer/views.css";
import "../components/explorer/map.css";
import "../components/explorer/reader.css";
import "./widget.css";

/** All style sheets above, put here by the build. */
declare const STYLES: string;

interface Context {
  readonly model: Model;
  readonly el: HTMLElement;
}

/** Draws the widget; returns what takes it away. */
async function render({ model, el }: Context): Promise<() => void> {
  const host = document.createElement("div");
  // JupyterLab's own shortcuts (a key deletes a cell) are not for what is in focus here.
  host.dataset["lmSuppressShortcuts"] = "true";
  const shadow = host.attachShadow({ mode: "open" });
  const style = document.createElement("style");
  style.textContent = STYLES;
  const page = document.createElement("div");
  page.className = "page";
  page.id = "app";
  shadow.append(style, page);
  el.append(host);
  const theme = followTheme(host);
  const fit = (): void => host.style.setProperty("--window", `${String(model.get("height"))}px`);
  fit();
  model.on("change:height", fit);
  for (const kind of ["keydown", "keyup", "keypress"]) host.addEventListener(kind, keepInside);
  let close = (): void => undefined;
  try {
    const messages = await openMessages(model);
    close = messages.close;
    const keeper = new ModelKeeper(model);
    const frame: Frame = { keeper, keys: page, setTheme: theme.choose, linked: false };
    const opened = (feature: number, usual: boolean): void => {
      keeper.opened(feature, usual);
      messages.opened(feature);
    };
    draw(
      <FrameContext.Provider value={frame}>
        <ExplorerApp source={messages.source} panes={PANES} opened={opened} />
      </FrameContext.Provider>,
      page,
    );
  } catch (error) {
    draw(<FailedLoad what="The explorer's data" reason={reasonOf(error)} />, page);
  }
  return () => {
    draw(null, page);
    close();
    theme.end();
    model.off("change:height", fit);
    host.remove();
  };
}

const PANES = { card: CardPane, map: MapPane, prompt: PromptPane, text: ReaderPane };

/** What is typed here is not for the notebook; what is held with Ctrl or Cmd, such as saving, still is. */
function keepInside(event: Event): void {
  if (event instanceof KeyboardEvent && !event.ctrlKey && !event.metaKey) event.stopPropagation();
}

export default { render };
