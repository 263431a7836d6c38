// A feature-centric page.
import { FeatureApp } from "./feature/FeatureApp";
import { start } from "./start";
import "../styles/all.css";

start((source) => <FeatureApp source={source} />);
