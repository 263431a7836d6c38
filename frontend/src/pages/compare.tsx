// A page that compares two dictionaries.
import { CompareApp } from "./compare/CompareApp";
import { compareSource } from "../data/compare";
import { start } from "./start";
import "../styles/all.css";
import "./compare/compare.css";
import "./compare/tables.css";
import "./compare/texts.css";
import "./compare/cards.css";

start((source) => <CompareApp source={compareSource(document, source)} />);
