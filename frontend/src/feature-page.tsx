// A feature-centric page.
import { App } from "./app";
import { start } from "./start";
import "./style.css";

start((source) => <App source={source} />);
