// The three columns: what is where, dragging, adding, and the one card that is being edited.

import { announce, copy, find, say } from "./dom.js";
import { Card, nextStatus } from "./card.js";
import { Editor } from "./editor.js";
import { STATUSES, STATUS_WORDS, number } from "./format.js";

const EMPTY = {
  todo: ["Nothing to do", "Add a task above, or press N."],
  in_progress: ["Nothing in progress", "Drag a task here when you begin with it."],
  completed: ["Nothing done yet", "What is finished comes here."],
};
const NO_MATCH = ["No task matches", "Change or clear the filters above."];
// Cards a column begins with, and how many more it is given whenever the browser has time.
const [FIRST, MORE] = [60, 200];
const UNDO = 6000; // milliseconds in which a deletion can be taken back

export class Columns {
  #cards = new Map();
  #columns = {};
  #editing = null; // id of the task
  #dragged = null;
  #room = FIRST;
  #later = 0;
  #undo = null; // what takes the last deletion back

  constructor({ store, queue, filters, toast, decide }) {
    Object.assign(this, { store, queue, filters, toast, decide });
    this.place = find("#columns");
    for (const status of STATUSES) this.#build(status);
    this.place.addEventListener("click", (event) => this.#click(event));
    this.place.addEventListener("focusin", (event) => this.#rove(event));
    const render = () => this.render();
    store.addEventListener("change", render);
    queue.addEventListener("change", () => store.changed());
    filters.addEventListener("change", render);
    queue.addEventListener("named", ({ detail }) => this.#rename(detail));
  }

  #build(status) {
    const element = copy("column");
    element.dataset.status = status;
    const [heading, count, form] = ["h2", ".number", "form"].map((part) => find(part, element));
    say(heading, STATUS_WORDS[status]);
    heading.id = `column-${status}`;
    element.setAttribute("aria-labelledby", heading.id);
    const list = find("ul", element);
    list.setAttribute("aria-labelledby", heading.id);
    const input = find("input", form);
    input.setAttribute("aria-label", `Add a task to “${STATUS_WORDS[status]}”`);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#add(status, input);
    });
    this.#columns[status] = { element, list, count, input, empty: find(".empty", element) };
    this.#acceptDrops(element, status);
    this.place.append(element);
  }

  #add(status, input) {
    const title = input.value.trim();
    if (!title) return;
    input.value = "";
    const op = this.queue.create(this.filters.fitting({ title, status }));
    announce(`Added to ${STATUS_WORDS[status]}`);
    if (!this.filters.matches(this.queue.view().get(op.id))) {
      this.toast("Added; the filters hide it", { Clear: () => this.filters.clear() });
    }
  }

  // --- showing

  render() {
    const view = this.queue.view();
    this.#keepEdited(view);
    const lists = Object.fromEntries(STATUSES.map((status) => [status, []]));
    const totals = Object.fromEntries(STATUSES.map((status) => [status, 0]));
    for (const task of view.values()) {
      const shown = task.id === this.#editing ? this.editor.frozen : task;
      totals[shown.status] += 1;
      if (task.id === this.#editing || this.filters.matches(task)) lists[shown.status].push(shown);
    }
    const focused = document.activeElement;
    for (const status of STATUSES) {
      lists[status].sort(this.filters.order);
      this.#fill(status, lists[status], view);
      this.#describe(status, lists[status].length, totals[status]);
    }
    for (const [id, card] of this.#cards) if (!card.element.isConnected) this.#cards.delete(id);
    // Moving an element takes the focus from it.
    if (focused !== document.activeElement && focused.isConnected) {
      focused.focus({ preventScroll: true });
    }
    this.#oneTabStop();
    if (STATUSES.some((status) => lists[status].length > this.#room)) this.#makeRoom();
    const shown = STATUSES.reduce((sum, status) => sum + lists[status].length, 0);
    this.filters.tell(shown, view.size, this.store.partial);
  }

  #makeRoom() {
    const idle = window.requestIdleCallback ?? ((work) => setTimeout(work, 30));
    this.#later ||= idle(() => {
      this.#later = 0;
      this.#room += MORE;
      this.render();
    }, { timeout: 500 });
  }

  #fill(status, all, view) {
    const { list } = this.#columns[status];
    const edited = all.findIndex(({ id }) => id === this.#editing);
    const tasks = all.slice(0, Math.max(this.#room, edited + 1));
    const wanted = new Set(tasks.map(({ id }) => id));
    for (const element of [...list.children]) {
      if (!wanted.has(idOf(element))) element.remove();
    }
    let place = list.firstElementChild;
    for (const task of tasks) {
      const card = this.#card(task.id);
      card.show(view.get(task.id) ?? task, this.store.marks.get(task.id) ?? null);
      if (card.element === place) place = place.nextElementSibling;
      else list.insertBefore(card.element, place);
    }
  }

  #card(id) {
    let card = this.#cards.get(id);
    if (!card) {
      card = new Card(this.store);
      card.element.dataset.id = id;
      this.#cards.set(id, card);
    }
    return card;
  }

  #describe(status, shown, total) {
    const { count, empty } = this.#columns[status];
    say(count, shown === total ? number(total) : `${number(shown)} of ${number(total)}`);
    empty.hidden = shown > 0 || !this.store.known;
    if (!empty.hidden) {
      const [head, hint] = total ? NO_MATCH : EMPTY[status];
      if (empty.dataset.is !== head) {
        empty.dataset.is = head;
        const strong = document.createElement("strong");
        strong.textContent = head;
        empty.replaceChildren(strong, hint);
      }
    }
  }

  #rename({ from, to }) {
    const card = this.#cards.get(from);
    if (!card) return;
    this.#cards.get(to)?.element.remove();
    this.#cards.delete(from);
    this.#cards.set(to, card);
    card.element.dataset.id = to;
    if (this.#editing === from) {
      this.#editing = to;
      this.editor.rename(to);
    }
  }

  // --- focus: one card is in the tab order, arrows go from there

  #rove({ target }) {
    if (target.matches(".open")) {
      this.current = idOf(target.closest(".card"));
      this.#oneTabStop();
    }
  }

  #oneTabStop() {
    const opens = this.place.querySelectorAll(".open[tabindex='0']");
    for (const open of opens) open.tabIndex = -1;
    const card = this.#cards.get(this.current)
      ?? this.#cards.get(idOf(this.place.querySelector(".card")));
    if (card) card.open.tabIndex = 0;
  }

  focus(id) {
    if (!this.#cards.has(id)) {
      this.#room = Infinity;
      this.render();
    }
    const card = this.#cards.get(id);
    if (!card) return false;
    card.open.focus();
    card.element.scrollIntoView({ block: "nearest" });
    return true;
  }

  get focused() {
    const element = document.activeElement?.closest?.(".card:not(.editing)");
    return element ? this.queue.view().get(idOf(element)) : null;
  }

  // The card `step` below, or in the column `across` to the right.
  step(task, step, across = 0) {
    const { list } = this.#columns[task.status];
    const cards = [...list.children];
    const at = cards.findIndex((card) => idOf(card) === task.id);
    let target = cards[at + step];
    if (across) {
      let index = STATUSES.indexOf(task.status) + across;
      while (STATUSES[index] && !this.#columns[STATUSES[index]].list.children.length) index += across;
      const there = this.#columns[STATUSES[index]]?.list.children;
      target = there?.[Math.min(at, there.length - 1)];
    }
    if (target) this.focus(idOf(target));
  }

  compose(status = "todo") {
    this.#columns[status].input.focus();
  }

  // --- changing

  move(task, status) {
    if (!status || status === task.status || !this.store.mayChange(task)) return;
    const hadFocus = document.activeElement?.closest?.(".card") === this.#cards.get(task.id)?.element;
    this.queue.update(task, { status });
    this.render();
    if (hadFocus) this.focus(task.id);
    announce(`“${task.title}” moved to ${STATUS_WORDS[status]}`);
  }

  remove(task) {
    if (!this.store.mayOwn(task)) {
      this.toast("Only the owner or an admin may delete this task");
      return;
    }
    const near = this.#cards.get(task.id)?.element;
    const next = idOf(near?.nextElementSibling ?? near?.previousElementSibling);
    const op = this.queue.remove(task, UNDO);
    this.render();
    if (next !== undefined) this.focus(next);
    const undo = () => {
      message.remove();
      if (!this.queue.takeBack(op)) return;
      this.render();
      this.focus(task.id);
      announce(`“${task.title}” is back`);
    };
    const message = this.toast(`Deleted “${task.title}”`, { Undo: undo }, UNDO);
    this.#undo = undo;
  }

  // Take the last deletion back, if that is not too late. Returns whether there was one.
  undo() {
    const undo = this.#undo;
    this.#undo = null;
    undo?.();
    return Boolean(undo);
  }

  #click({ target }) {
    const element = target.closest(".card");
    if (!element || element.classList.contains("editing")) return;
    const task = this.queue.view().get(idOf(element));
    if (!task) return;
    if (target.closest(".advance")) this.move(task, nextStatus(task));
    else if (this.queue.undecided(task.id).length) this.decide(this.queue.undecided(task.id)[0]);
    else this.edit(task);
  }

  #acceptDrops(element, status) {
    element.addEventListener("dragstart", ({ target, dataTransfer }) => {
      this.#dragged = idOf(target);
      dataTransfer.effectAllowed = "move";
      dataTransfer.setData("text/plain", this.queue.view().get(this.#dragged)?.title ?? "");
      target.classList.add("dragged");
    });
    element.addEventListener("dragend", ({ target }) => {
      this.#dragged = null;
      target.classList.remove("dragged");
      this.#light(null);
    });
    element.addEventListener("dragover", (event) => {
      if (this.#dragged === null) return;
      event.preventDefault();
      event.dataTransfer.dropEffect = "move";
      this.#light(status);
    });
    element.addEventListener("drop", (event) => {
      event.preventDefault();
      const task = this.queue.view().get(this.#dragged);
      if (task) this.move(task, status);
    });
  }

  #light(status) {
    for (const [name, { element }] of Object.entries(this.#columns)) {
      element.classList.toggle("target", name === status);
    }
  }

  // --- editing in place

  edit(task, draft = null) {
    if (this.#editing !== null && !this.editor.close()) return;
    this.#editing = task.id;
    const { store, queue } = this;
    this.editor = new Editor({ store, queue, task, draft }, {
      closed: () => this.#stopEditing(),
      remove: () => this.remove(task),
    });
    this.render();
    this.#cards.get(task.id)?.edit(this.editor);
    this.editor.begin();
  }

  #stopEditing() {
    const id = this.#editing;
    const card = this.#cards.get(id);
    const hadFocus = card?.element.contains(document.activeElement);
    this.#editing = null;
    this.editor = null;
    card?.edit(null);
    this.render();
    if (hadFocus) this.focus(id);
  }

  // Nobody is signed in any more. The draft stays for whoever typed it.
  abandon() {
    if (this.#editing !== null) this.#stopEditing();
  }

  // What is being edited stays, and where it was, whatever becomes of it meanwhile.
  #keepEdited(view) {
    if (this.#editing === null) return;
    const task = view.get(this.#editing);
    this.editor.follow(task ?? null, this.store.marks.get(this.#editing));
    if (!task) view.set(this.#editing, this.editor.frozen);
  }
}

// Tasks that are not made yet have a text for an id.
function idOf(element) {
  const id = element?.dataset?.id;
  return id === undefined || id.startsWith("new-") ? id : Number(id);
}
