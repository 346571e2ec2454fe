// What the server has said: tasks by id, people by id, and how far in the log that is.

const MARKED = 8000; // milliseconds for which somebody else's change stays marked

// Events: "begin" (a list was read), "change" (tasks, people or marks; at most once a frame), and for each event of the log
// "event" with it as `detail`.
export class Store extends EventTarget {
  me = null;
  tasks = new Map();
  people = new Map();
  marks = new Map(); // task id -> { who, fields, at }
  seq = 0;
  epoch = ""; // empty: the list has to be read first
  known = false; // whether there is anything to show: a list, or what was kept of one
  keptAt = 0; // when that was last known which no list has confirmed since (milliseconds)
  partial = false; // there were more tasks than the board reads
  #gone = new Set();
  #due = false;
  #awaited = null; // the title of a task that is being made here …
  #early = []; // … and tasks of that title whose event came before the answer

  // A list that was read, and the event it is up to date with.
  begin(tasks, seq, epoch, partial) {
    this.tasks = new Map(tasks.map((task) => [task.id, task]));
    this.#gone.clear();
    Object.assign(this, { seq, epoch, partial, known: Boolean(epoch), keptAt: 0 });
    this.dispatchEvent(new Event("begin"));
    this.changed();
  }

  // What was last known, until a list is read.
  restore({ me, tasks, people, partial, at }) {
    this.me = me;
    this.tasks = new Map(tasks.map((task) => [task.id, task]));
    Object.assign(this, { partial, known: true, keptAt: at });
    this.putPeople(people);
  }

  clear() {
    this.me = null;
    this.people.clear();
    this.marks.clear();
    this.begin([], 0, "", false);
  }

  // A task as an answer or an event has it; what is older than what is here is dropped.
  put(task) {
    const known = this.tasks.get(task.id);
    if (this.#gone.has(task.id) || (known && known.version >= task.version)) return;
    this.tasks.set(task.id, task);
    this.changed();
  }

  await(title) {
    this.#awaited = title;
    for (const task of this.#early.splice(0)) this.put(task);
  }

  remove(id) {
    this.#gone.add(id);
    if (this.tasks.delete(id)) this.changed();
  }

  // One event of the log, in its order. What was seen before is not done again.
  apply(event) {
    if (event.seq <= this.seq) return;
    const before = this.tasks.get(event.task);
    this.seq = event.seq;
    // A broadcast may bear any name; only the event of a task has its number.
    if (event.type.startsWith("task_") && "task" in event) this.#applyTask(event, before);
    this.dispatchEvent(new CustomEvent("event", { detail: { ...event, before } }));
  }

  #applyTask(event, before) {
    const { seq, epoch, type, task: id, actor_id: actor, changes, at, request_id, ...task } = event;
    if (type === "task_deleted" || type === "task_removed") {
      this.remove(id);
      return;
    }
    this.#gone.delete(id);
    const mine = actor === this.me?.id;
    if (mine && type === "task_created" && task.title === this.#awaited) this.#early.push(task);
    else this.put(task);
    if (!mine) this.#mark(id, { who: actor, fields: before ? changes : [], at });
  }

  #mark(id, mark) {
    this.marks.set(id, mark);
    setTimeout(() => {
      if (this.marks.get(id) === mark) this.marks.delete(id);
      this.changed();
    }, MARKED);
  }

  putPeople(people) {
    for (const person of people) this.people.set(person.id, person);
    this.changed();
  }

  name(id) {
    if (id === null) return "the server";
    return this.people.get(id)?.username ?? (id === this.me?.id ? this.me.username : "somebody");
  }

  mayChange(task) {
    return this.mayOwn(task) || task.assigned_to === this.me?.id;
  }

  mayOwn(task) {
    return this.me?.role === "admin" || task.user_id === this.me?.id;
  }

  changed() {
    if (this.#due) return;
    this.#due = true;
    const tell = () => {
      this.#due = false;
      this.dispatchEvent(new Event("change"));
    };
    // A page in the background is given no frames.
    if (document.hidden) setTimeout(tell, 200);
    else requestAnimationFrame(tell);
  }
}
