// A page that compares two dictionaries.
import { CompareApp } from "./compare/CompareApp";
import { start } from "./start";
import "../styles/all.css";
import "./compare/compare.css";
import "./compare/tables.css";
import "./compare/texts.css";
import "./compare/cards.css";

start((source) => {
  if (source.comparison === null) throw new Error("the page holds no second dictionary");
  return <CompareApp source={source} comparison={source.comparison} />;
});
