// A task's fields, in the place of its card. What is typed survives a reload, and is not written
// over by what others do meanwhile: that is shown beside it.

import { announce, copy, find, make, say } from "./dom.js";
import { FIELD_WORDS, inWords, moment } from "./format.js";

const FIELDS = ["title", "description", "status", "priority", "due_date", "assigned_to"];
const DRAFT = "draft";

export const savedDraft = (userId) => JSON.parse(sessionStorage.getItem(`${DRAFT}:${userId}`));
export const dropDraft = (userId) => sessionStorage.removeItem(`${DRAFT}:${userId}`);

export class Editor {
  element = copy("editor");
  #store;
  #queue;
  #base;
  #version;
  #on;
  #news = new Map(); // field -> note

  // `draft` is what was being typed when the page went: {id, base, version, values}.
  constructor({ store, queue, task, draft }, on) {
    this.#store = store;
    this.#queue = queue;
    this.#on = on;
    this.frozen = task; // where the card stands
    this.id = task.id;
    this.#base = draft?.base ?? pick(task);
    this.#version = draft?.version ?? task.version;
    this.#listPeople(task);
    this.#show(draft?.values ?? pick(task));
    const facts = [`Made by ${store.name(task.created_by)}, ${moment(task.created_at)}`];
    if (task.user_id !== task.created_by) facts.push(`owned by ${store.name(task.user_id)}`);
    if (task.updated_at !== task.created_at) facts.push(`changed ${moment(task.updated_at)}`);
    say(find(".facts", this.element), facts.join(" · "));
    this.#allow(task);
    this.element.addEventListener("submit", (event) => {
      event.preventDefault();
      this.save();
    });
    this.element.addEventListener("input", () => this.#keepDraft());
    this.element.addEventListener("keydown", (event) => this.#key(event));
    find(".cancel", this.element).addEventListener("click", () => this.#end());
    find(".delete", this.element).addEventListener("click", () => {
      this.#end();
      on.remove();
    });
  }

  get #fields() { return this.element.elements; }

  begin() {
    const { title } = this.#fields;
    title.focus();
    this.element.scrollIntoView({ block: "nearest" });
  }

  rename(id) {
    this.id = id;
    this.frozen = { ...this.frozen, id };
    this.#keepDraft();
  }

  #listPeople(task) {
    const { me, people } = this.#store;
    const select = this.#fields.assigned_to;
    const others = [...people.values()]
      .filter(({ id, is_active: active }) => id !== me.id && (active || id === task.assigned_to))
      .sort((a, b) => a.username.localeCompare(b.username));
    select.append(new Option("Nobody", ""), new Option(`${me.username} (you)`, me.id));
    for (const { id, username } of others) select.append(new Option(username, id));
    if (task.assigned_to !== null && !people.has(task.assigned_to) && task.assigned_to !== me.id) {
      select.append(new Option("somebody", task.assigned_to));
    }
  }

  #allow(task) {
    const may = this.#store.mayChange(task);
    for (const field of FIELDS) this.#fields[field].disabled = !may;
    find(".primary", this.element).hidden = !may;
    find(".delete", this.element).hidden = !this.#store.mayOwn(task);
    if (!may) this.#note("", "You may see this task, but not change it.");
  }

  #show(values) {
    for (const field of FIELDS) this.#fields[field].value = values[field] ?? "";
  }

  #values() {
    const { title, description, status, priority, due_date: due, assigned_to: who } = this.#fields;
    return {
      title: title.value.trim(),
      description: description.value === "" ? null : description.value,
      status: status.value,
      priority: priority.value,
      due_date: due.value || null,
      assigned_to: who.value ? Number(who.value) : null,
    };
  }

  // What differs from what the task was when the editing began.
  #changes() {
    const values = this.#values();
    return Object.fromEntries(FIELDS
      .filter((field) => (values[field] ?? "") !== (this.#base[field] ?? ""))
      .map((field) => [field, values[field]]));
  }

  get dirty() { return Object.keys(this.#changes()).length > 0; }

  save() {
    if (!this.element.reportValidity()) return;
    const changes = this.#changes();
    if (Object.keys(changes).length) {
      const task = { ...this.frozen, id: this.id };
      this.#queue.update(task, changes, this.#base, this.#version);
      announce("Saved");
    }
    this.#end();
  }

  // Make room for another editor: what was typed is saved. False when it cannot be.
  close() {
    if (this.dirty && !this.element.reportValidity()) return false;
    if (this.dirty) this.save();
    else this.#end();
    return true;
  }

  #end() {
    sessionStorage.removeItem(this.#draftName);
    this.#on.closed();
  }

  get #draftName() { return `${DRAFT}:${this.#store.me?.id}`; }

  #keepDraft() {
    const values = Object.fromEntries(FIELDS.map((field) => [field, this.#fields[field].value]));
    const draft = { id: this.id, base: this.#base, version: this.#version, values };
    sessionStorage.setItem(this.#draftName, JSON.stringify(draft));
  }

  // The task as it is now, or null when it is gone. Fields nobody typed in here go along; the
  // others keep what was typed, and say what the other one wrote.
  follow(task, mark) {
    if (task === null) {
      if (!this.dirty && !this.gone) this.#note("", "This task was deleted, or you may not see it any more.");
      else if (!this.gone) this.#note("", "This task is gone. Save to make a new one of what you typed.");
      this.gone = true;
      return;
    }
    if (task.version <= (this.seen ?? this.#version) || task.pending) return;
    this.seen = task.version;
    const changes = this.#changes();
    const clashes = FIELDS.filter((field) => field in changes && task[field] !== this.#base[field]);
    for (const field of FIELDS) {
      if (clashes.includes(field) || task[field] === this.#base[field]) continue;
      this.#base[field] = task[field];
      if (field in changes) continue;
      this.#fields[field].value = task[field] ?? "";
      this.#tell(field, task, mark, false);
    }
    for (const field of clashes) this.#tell(field, task, mark, true);
    if (!clashes.length) this.#version = task.version;
    this.#keepDraft();
  }

  #tell(field, task, mark, clash) {
    const who = mark ? this.#store.name(mark.who) : "Somebody";
    const value = inWords(field, task[field], this.#store);
    this.#fields[field].closest("label").classList.add("theirs");
    const text = `${who} changed the ${FIELD_WORDS[field]} to “${value.slice(0, 120)}”.`;
    const take = clash && make("button", {
      type: "button",
      class: "link",
      onclick: () => {
        this.#fields[field].value = task[field] ?? "";
        this.#base[field] = task[field];
        this.#news.get(field).remove();
        this.#keepDraft();
        this.#fields[field].focus();
      },
    }, "Take theirs");
    this.#note(field, text, take || null);
  }

  #note(field, text, ...more) {
    this.#news.get(field)?.remove();
    const note = make("p", {}, text, " ", ...more);
    this.#news.set(field, note);
    find(".news", this.element).append(note);
  }

  #key(event) {
    if (event.key === "Escape") {
      event.stopPropagation();
      this.#end();
    } else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      this.save();
    }
  }
}

const pick = (task) => Object.fromEntries(FIELDS.map((field) => [field, task[field]]));
