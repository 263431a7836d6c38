// The explorer of an index, with data from the server that the page came from.
import { openExplorer } from "../data/http";
import { part } from "../data/scripts";
import { begin } from "./explorer/begin";
import { Later } from "./explorer/Part";
import type * as CardPart from "./parts/card";
import type * as MapPart from "./parts/map";
import type * as ViewsPart from "./parts/views";
import "../styles/all.css";
import "../marks/prompt/text.css";
import "./explorer/explorer.css";

const views = (): Promise<typeof ViewsPart> => part(document, "explorer-views");

void begin(() => openExplorer(document, new URLSearchParams(window.location.search).get("index")), {
  card: new Later(async () => (await part<typeof CardPart>(document, "explorer-card")).CardPane),
  map: new Later(async () => (await part<typeof MapPart>(document, "explorer-map")).MapPane),
  prompt: new Later(async () => (await views()).PromptPane),
  compare: new Later(async () => (await views()).ComparePane),
  text: new Later(async () => (await views()).ReaderPane),
});
