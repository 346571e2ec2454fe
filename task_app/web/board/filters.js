// Which tasks are shown and in which order: kept in the URL, so that a reload, a bookmark and a
// link to somebody else show the same.

import { find, say } from "./dom.js";
import { PRIORITIES, daysUntil, number } from "./format.js";

const NAMES = ["q", "who", "priority", "due", "sort"];
const LATE = "9999-99-99";
const collator = new Intl.Collator(undefined, { numeric: true });
const newest = (a, b) => (a.created_at < b.created_at ? 1 : a.created_at > b.created_at ? -1 : 0);
const byDue = (a, b) => {
  const [one, two] = [a.due_date ?? LATE, b.due_date ?? LATE];
  return one < two ? -1 : one > two ? 1 : 0;
};
const byPriority = (a, b) => PRIORITIES.indexOf(b.priority) - PRIORITIES.indexOf(a.priority);
const ORDERS = {
  "": (a, b) => byPriority(a, b) || byDue(a, b) || newest(a, b),
  due: (a, b) => byDue(a, b) || byPriority(a, b) || newest(a, b),
  updated: (a, b) => (a.updated_at < b.updated_at ? 1 : a.updated_at > b.updated_at ? -1 : 0),
  created: newest,
  title: (a, b) => collator.compare(a.title, b.title),
};
const DUE = {
  overdue: (task) => task.due_date && task.status !== "completed" && daysUntil(task.due_date) < 0,
  today: (task) => task.due_date && daysUntil(task.due_date) === 0,
  week: (task) => task.due_date && daysUntil(task.due_date) >= 0 && daysUntil(task.due_date) <= 7,
  none: (task) => !task.due_date,
};
const folded = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();

// Events: "change".
export class Filters extends EventTarget {
  #store;
  #form = find("#filters");
  #words = [];

  constructor(store) {
    super();
    this.#store = store;
    this.#form.addEventListener("input", () => this.#read());
    this.#field("q").addEventListener("keydown", (event) => {
      if (event.key === "Escape" && !event.target.value) event.target.blur();
    });
    find("#clear-filters").addEventListener("click", () => {
      this.clear();
      this.search();
    });
    addEventListener("popstate", () => this.load());
    store.addEventListener("change", () => this.#listPeople());
  }

  #field(name) { return this.#form.querySelector(`[name="${name}"]`); }

  load() {
    const asked = new URLSearchParams(location.search);
    for (const name of NAMES) this[name] = asked.get(name) ?? "";
    if (!(this.sort in ORDERS)) this.sort = "";
    this.#listPeople();
    this.#changed();
    for (const name of NAMES) this.#field(name).value = this[name];
  }

  search() { this.#field("q").focus(); }

  clear() {
    for (const name of NAMES.slice(0, -1)) this.#field(name).value = "";
    this.#read();
  }

  #read() {
    for (const name of NAMES) this[name] = this.#field(name).value;
    const url = new URL(location.href);
    for (const name of NAMES) {
      if (this[name]) url.searchParams.set(name, this[name]);
      else url.searchParams.delete(name);
    }
    history.replaceState(null, "", url);
    this.#changed();
  }

  #changed() {
    this.#words = folded(this.q).split(/\s+/).filter(Boolean);
    find("#clear-filters").hidden = !this.any;
    this.dispatchEvent(new Event("change"));
  }

  get any() { return NAMES.slice(0, -1).some((name) => this[name]); }
  get order() { return ORDERS[this.sort] ?? ORDERS[""]; }

  matches(task) {
    if (this.priority && task.priority !== this.priority) return false;
    if (this.who === "me" && task.assigned_to !== this.#store.me.id) return false;
    if (this.who === "none" && task.assigned_to !== null) return false;
    if (/^\d+$/.test(this.who) && task.assigned_to !== Number(this.who)) return false;
    if (this.due && !DUE[this.due]?.(task)) return false;
    if (!this.#words.length) return true;
    const text = folded(`${task.title}\n${task.description ?? ""}`);
    return this.#words.every((word) => text.includes(word));
  }

  // A new task takes on what is filtered by, or it would vanish as soon as it is made.
  fitting(data) {
    const more = {};
    if (this.priority) more.priority = this.priority;
    if (this.who === "me") more.assigned_to = this.#store.me.id;
    else if (/^\d+$/.test(this.who)) more.assigned_to = Number(this.who);
    return { ...more, ...data };
  }

  // Names as they become known; the choice stays what it was.
  #listPeople() {
    const select = this.#field("who");
    const people = [...this.#store.people.values()]
      .filter(({ id, is_active: active }) => active && id !== this.#store.me?.id)
      .sort((a, b) => collator.compare(a.username, b.username));
    const said = people.map(({ id, username }) => `${id} ${username}`).join("\n");
    if (select.options.length && said === this.said) return;
    this.said = said;
    select.replaceChildren(
      new Option("Anyone", ""), new Option("Assigned to me", "me"), new Option("Unassigned", "none"),
      ...people.map(({ id, username }) => new Option(username, id)),
    );
    if (this.who && !select.querySelector(`option[value="${CSS.escape(this.who)}"]`)) {
      select.append(new Option("Somebody", this.who));
    }
    select.value = this.who ?? "";
  }

  tell(shown, all, partial) {
    const cut = partial ? ", the newest ones" : "";
    say(find("#found"), this.any || partial ? `${number(shown)} of ${number(all)} tasks${cut}` : "");
  }
}
