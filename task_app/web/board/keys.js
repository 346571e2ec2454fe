// Everything by keyboard. Single keys count only where nobody is typing.

import { find, isField, make } from "./dom.js";
import { ask } from "./dialogs.js";
import { beside } from "./card.js";

const SHORTCUTS = [
  ["N", "New task"],
  ["/", "Search"],
  ["↑ ↓ ← →", "Go from card to card"],
  ["Enter", "Edit the card"],
  ["Shift + ← →", "Move the card to the column beside it"],
  ["Delete", "Delete the card"],
  ["Ctrl + Z", "Take back the deletion"],
  ["Ctrl + Enter", "Save what is edited"],
  ["Esc", "Leave the editor as it was"],
  ["?", "This list"],
];

export function help() {
  const rows = SHORTCUTS.map(([keys, words]) => [make("dt", {}, make("kbd", {}, keys)), make("dd", {}, words)]);
  return ask("Keyboard", [make("dl", { class: "keys" }, ...rows.flat())], [["Close", ""]]);
}

export function listen(columns, filters) {
  find("#help-button").addEventListener("click", help);
  document.addEventListener("keydown", (event) => {
    if (event.altKey || isField(event.target)) return;
    if (document.documentElement.dataset.session !== "yes") return;
    if (find("#columns").hidden || find("#dialog").open) return;
    const done = event.ctrlKey || event.metaKey
      ? event.key === "z" && columns.undo()
      : onCard(event, columns) || anywhere(event, columns, filters);
    if (done) event.preventDefault();
  });
}

function anywhere({ key }, columns, filters) {
  if (key === "n" || key === "N") columns.compose();
  else if (key === "/") filters.search();
  else if (key === "?") help();
  else return false;
  return true;
}

function onCard({ key, shiftKey }, columns) {
  const task = columns.focused;
  if (!task) return false;
  const across = { ArrowLeft: -1, ArrowRight: 1 }[key] ?? 0;
  const along = { ArrowUp: -1, ArrowDown: 1 }[key] ?? 0;
  if (across && shiftKey) columns.move(task, beside(task.status, across));
  else if (across) columns.step(task, 0, across);
  else if (along) columns.step(task, along);
  else if (key === "Delete" || key === "Backspace") columns.remove(task);
  else return false;
  return true;
}
