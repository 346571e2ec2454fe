// Messages that pass, and questions that wait for an answer.

import { find, make } from "./dom.js";
import { FIELD_WORDS, inWords } from "./format.js";

const SHOWN = 6000;

// A message at the edge, with what can be done about it: `toast("Deleted", { Undo: f })`. With 0 it
// stays until something is done, or it is put away.
export function toast(text, actions = {}, shown = SHOWN) {
  const message = make("div", { class: "toast", role: "status" }, make("span", {}, text));
  for (const [word, act] of Object.entries(actions)) {
    message.append(make("button", {
      class: "link",
      onclick: () => {
        message.remove();
        act();
      },
    }, word));
  }
  find("#toasts").append(message);
  if (shown) setTimeout(() => message.remove(), shown);
  else message.append(make("button", { class: "link", onclick: () => message.remove() }, "Later"));
  return message;
}

// A dialog of these parts. Resolves to the value of the button, "" when it was dismissed. `check`,
// given the form, may keep it open: until it resolves to true.
let last = Promise.resolve();
export function ask(title, parts, buttons, check = null) {
  last = last.then(() => new Promise((answer) => {
    const dialog = find("#dialog");
    const form = make("form", { method: "dialog" }, make("h2", { id: "dialog-title" }, title), ...parts);
    const row = make("div", { class: "buttons" });
    buttons.forEach(([word, value], index) => {
      row.append(make("button", { value, class: index ? "quiet" : "primary" }, word));
    });
    form.append(row);
    if (check) form.addEventListener("submit", (event) => checkFirst(event, dialog, check));
    dialog.returnValue = "";
    dialog.replaceChildren(form);
    const before = document.activeElement;
    dialog.onclose = () => {
      answer(dialog.returnValue);
      if (before?.isConnected) before.focus();
    };
    dialog.showModal();
  }));
  return last;
}

async function checkFirst(event, dialog, check) {
  const { target: form, submitter } = event;
  if (!submitter.value) return;
  event.preventDefault();
  submitter.disabled = true;
  const good = await check(form);
  submitter.disabled = false;
  if (good && form.isConnected) dialog.close(submitter.value);
}

const text = (words) => make("p", {}, words);

// What somebody must decide about a change that the server would not make.
const asked = new Set();
export async function decide(op, { store, queue }) {
  if (asked.has(op)) return;
  asked.add(op);
  await put(op, { store, queue });
  asked.delete(op);
}

async function put(op, { store, queue }) {
  if (op.state === "conflict") {
    if (op.kind === "delete") await decideDeletion(op, store, queue);
    else await decideConflict(op, store, queue);
  } else {
    await decideLost(op, store, queue);
  }
}

async function decideConflict(op, store, queue) {
  const current = store.tasks.get(op.id);
  if (!current) return;
  const choices = op.clashes.map((field) => (
    choice(field, op.data[field], current[field], store, (value) => queue.amend(op, { [field]: value }))
  ));
  const mark = store.marks.get(op.id);
  const answer = await ask(
    `${mark ? store.name(mark.who) : "Somebody else"} changed this too`,
    [
      text(`“${current.title}” was changed while you were at it. Which shall it be?`),
      ...choices.map(({ element }) => element),
    ],
    [["Save", "save"], ["Decide later", ""]],
  );
  if (answer !== "save" || op.state !== "conflict") return;
  const data = { ...op.data };
  for (const { field, mine, value } of choices) {
    if (mine()) data[field] = value();
    else delete data[field];
  }
  queue.settle(op, Object.keys(data).length ? data : null);
}

// Both versions of one field, side by side; one's own can still be worked on, and `keep` is given what
// comes of it.
function choice(field, mine, theirs, store, keep) {
  const long = field === "title" || field === "description";
  const own = long
    ? make("textarea", { rows: field === "title" ? 2 : 6, "aria-label": `Your ${FIELD_WORDS[field]}` })
    : make("p", {}, inWords(field, mine, store));
  if (long) own.value = mine ?? "";
  const radio = (value, checked) => make("input", { type: "radio", name: field, value, checked });
  const [yours, other] = [radio("mine", true), radio("theirs", false)];
  own.addEventListener("input", () => {
    yours.checked = true;
    keep(value());
  });
  const element = make(
    "fieldset",
    { class: "versions" },
    make("legend", {}, FIELD_WORDS[field]),
    make("div", {}, make("label", {}, yours, "Yours"), own),
    make("div", {}, make("label", {}, other, "As it is now"), make("p", { class: "theirs" }, inWords(field, theirs, store))),
  );
  const value = () => (long ? own.value.trim() || (field === "title" ? mine : null) : mine);
  return { field, element, mine: () => yours.checked, value };
}

async function decideDeletion(op, store, queue) {
  const task = store.tasks.get(op.id);
  if (!task) return;
  const answer = await ask(
    "It was changed meanwhile",
    [text(`“${task.title}” was changed while you were deleting it.`)],
    [["Keep it", "keep"], ["Delete it all the same", "delete"]],
  );
  queue.settle(op, answer === "delete" ? {} : null);
}

// The task is gone, or the server refuses the change: what was typed is not lost.
async function decideLost(op, store, queue) {
  const task = store.tasks.get(op.id);
  const title = op.data.title ?? task?.title ?? op.title ?? "";
  const typed = Object.entries(op.data).map(([field, value]) => make(
    "p", { class: "typed" }, make("b", {}, FIELD_WORDS[field] ?? field), ` ${inWords(field, value, store)}`,
  ));
  const gone = op.state === "gone";
  const answer = await ask(
    gone ? "This task is gone" : "This could not be saved",
    [
      text(gone ? "It was deleted, or you may not see it any more. Your change:" : `${op.message}. Your change:`),
      ...typed,
    ],
    [...(op.kind === "delete" ? [] : [["Make a new task of it", "new"]]), ["Discard", "discard"], ["Decide later", ""]],
  );
  if (answer === "") return;
  queue.settle(op, null);
  if (answer === "new") {
    const { assigned_to: assignee, ...data } = op.data;
    queue.create({ ...data, title: title || "Untitled" });
  }
}
