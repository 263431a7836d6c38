// The explorer of an index, with data from the files of a site.
import { FromFile } from "../components/Messages";
import { openSite } from "../data/packed";
import { part } from "../data/scripts";
import { begin } from "./explorer/begin";
import { Later } from "./explorer/Part";
import type * as CardPart from "./parts/cardAlone";
import type * as MapPart from "./parts/map";
import "../styles/all.css";
import "../marks/prompt/text.css";
import "./explorer/explorer.css";

const said = document.querySelector<HTMLMetaElement>("meta[name=sae-vis-data]");
const { content = "", dataset = {} } = said ?? {};

void begin(async () => (window.location.protocol === "file:" ? <FromFile folder={dataset["folder"] ?? "."} /> : openSite(document, content)), {
  card: new Later(async () => (await part<typeof CardPart>(document, "site-card")).CardPane),
  map: new Later(async () => (await part<typeof MapPart>(document, "site-map")).MapPane),
});
