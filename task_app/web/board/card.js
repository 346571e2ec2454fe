// One task as a card. It is built once and then told what has changed.

import { avatar, copy, icon, say } from "./dom.js";
import { FIELD_WORDS, PRIORITY_WORDS, STATUSES, STATUS_WORDS, daysUntil, due, list } from "./format.js";

const PENDING = {
  waiting: ["wait", "Waiting to be sent"],
  conflict: ["alert", "Somebody else changed it too"],
  gone: ["alert", "Not there any more"],
  refused: ["alert", "Could not be saved"],
};
const NEXT = { todo: "in_progress", in_progress: "completed" };

export const nextStatus = (task) => NEXT[task.status] ?? null;
export const beside = (status, step) => STATUSES[STATUSES.indexOf(status) + step] ?? null;

export class Card {
  element = copy("card");
  task = null;
  mark = null;
  editor = null;
  #store;
  #parts = {};

  constructor(store) {
    this.#store = store;
    const [open, meta, side] = this.element.children;
    const [title, said] = open.children;
    const [priority, dueDate, note, fresh] = meta.children;
    const [face, advance] = side.children;
    this.#parts = { title, said, priority, dueDate, note, fresh, face, advance };
    this.open = open;
  }

  // Returns whether anything was another.
  show(task, mark) {
    const people = this.#store.people;
    if (this.task === task && this.mark === mark && this.people === people.size) return false;
    Object.assign(this, { task, mark, people: people.size });
    this.element.dataset.id = task.id;
    if (this.editor) return true;
    const { title, said, face } = this.#parts;
    say(title, task.title);
    this.#showMeta(task);
    this.#showMark(mark);
    const assignee = task.assigned_to;
    face.hidden = assignee === null;
    if (assignee !== null) avatar(assignee, this.#store.name(assignee), face);
    this.#showAdvance(task);
    say(said, this.#inWords(task));
    this.element.classList.toggle("done", task.status === "completed");
    this.element.classList.toggle("pending", Boolean(task.pending));
    this.element.draggable = this.#store.mayChange(task);
    return true;
  }

  #showMeta(task) {
    const { priority, dueDate, note } = this.#parts;
    if (priority.dataset.is !== task.priority) {
      priority.dataset.is = task.priority;
      priority.title = `${PRIORITY_WORDS[task.priority]} priority`;
      priority.replaceChildren(icon(task.priority));
    }
    dueDate.hidden = !task.due_date;
    if (task.due_date) {
      const late = task.status !== "completed" && daysUntil(task.due_date);
      dueDate.replaceChildren(icon("calendar"), due(task.due_date));
      dueDate.className = `due${late === false || late > 1 ? "" : late < 0 ? " late" : " soon"}`;
    }
    const pending = PENDING[task.pending];
    note.hidden = !pending && !task.description;
    note.className = `note${pending ? ` ${task.pending}` : ""}`;
    note.title = pending?.[1] ?? "Has a description";
    if (pending) note.replaceChildren(icon(pending[0]), task.pending === "waiting" ? "" : pending[1]);
    else if (task.description) note.replaceChildren(icon("text"));
  }

  // Who else changed it just now, and what.
  #showMark(mark) {
    const { fresh } = this.#parts;
    fresh.hidden = !mark;
    this.element.classList.toggle("marked", Boolean(mark));
    if (mark) {
      const fields = mark.fields.filter((field) => field in FIELD_WORDS);
      const what = fields.length ? list(fields.map((field) => FIELD_WORDS[field])) : "new";
      say(fresh, `${this.#store.name(mark.who)}: ${what}`);
    }
  }

  #showAdvance(task) {
    const { advance } = this.#parts;
    const next = this.#store.mayChange(task) ? nextStatus(task) : null;
    advance.hidden = !next;
    if (next && advance.dataset.to !== next) {
      advance.dataset.to = next;
      advance.title = `Move to ${STATUS_WORDS[next]}`;
      advance.replaceChildren(icon(next === "completed" ? "check" : "next"));
    }
    if (next) advance.setAttribute("aria-label", `Move “${task.title}” to ${STATUS_WORDS[next]}`);
  }

  #inWords(task) {
    const words = [`${PRIORITY_WORDS[task.priority]} priority`];
    if (task.due_date) words.push(`due ${due(task.due_date)}`);
    if (task.assigned_to !== null) words.push(`assigned to ${this.#store.name(task.assigned_to)}`);
    if (task.pending) words.push(PENDING[task.pending][1]);
    return `. ${words.join(", ")}`;
  }

  // Put an editor in the place of what the card shows, or take it away.
  edit(editor) {
    this.editor = editor;
    this.element.classList.toggle("editing", Boolean(editor));
    this.element.querySelector(".editor")?.remove();
    if (editor) {
      this.element.draggable = false;
      this.element.append(editor.element);
    } else {
      const { task, mark } = this;
      this.task = null;
      this.show(task, mark);
    }
  }
}
