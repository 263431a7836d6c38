// The explorer of an index, with data from the files of a site.
import { FromFile } from "../components/Messages";
import { openSite } from "../data/packed";
import { begin } from "./explorer/begin";
import { MapPane } from "./explorer/MapPane";
import "../styles/all.css";
import "../marks/prompt/text.css";
import "./explorer/explorer.css";
import "../components/explorer/map.css";

const said = document.querySelector<HTMLMetaElement>("meta[name=sae-vis-data]");
const { content = "", dataset = {} } = said ?? {};

void begin(async () => (window.location.protocol === "file:" ? <FromFile folder={dataset["folder"] ?? "."} /> : openSite(document, content)), { map: MapPane });
