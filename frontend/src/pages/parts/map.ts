// The map of features.
import "../../components/explorer/map.css";

export { MapPane } from "../explorer/MapPane";
