// A feature-centric page.
import { FeatureApp } from "./feature/FeatureApp";
import { start } from "./start";
import "../styles/all.css";
import "../marks/boards.css";

start((source) => <FeatureApp source={source} />);
