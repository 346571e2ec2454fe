// Every change goes through here, online or not: it is kept, shown, sent in order, and sent again
// under the same idempotency key until the server has answered. So a change is made once however
// often the network breaks, and the board shows what is pending.

import { Refused, Unreachable } from "./api.js";

const RETRY = 2000; // milliseconds
const KEY = "queue";
const NEW = "new-";

export const isNew = (id) => String(id).startsWith(NEW);

// Random, also where the page is not "secure" (http on a local network) and randomUUID is missing.
const random = () => Array.from(
  crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0"),
).join("");

// An operation: `key`, `kind` (create, update, delete), `id` (of a task not yet made: "new-…"),
// `data`; for an update `base`, the fields as they were, `version`, which they were in, and `title`,
// to speak of the task by when it is gone; `after`,
// the time it may be sent from; `tried`; `state`: waiting, or what somebody must decide about:
// conflict, gone, refused.
//
// Events: "change"; "named" ({from, to}) when a new task has its number; "decide" (operation).
export class Queue extends EventTarget {
  ops = [];
  #api;
  #store;
  #place = "";
  #running = false;
  #timer = 0;
  #watched = new Set();
  #leave = null;
  online = false;

  constructor(api, store) {
    super();
    this.#api = api;
    this.#store = store;
  }

  // Each tab keeps its own operations in a place of its own, under a lock that it holds while it
  // lives. Whoever gets the lock of another's place may take over what lies there.
  open(userId) {
    const places = `${KEY}:${userId}:`;
    this.#place = places + random();
    this.#watched = new Set([this.#place]);
    this.#leave = new AbortController();
    hold(this.#place, this.#leave.signal);
    for (const name of Object.keys(localStorage)) this.#watch(name, places);
    const { signal } = this.#leave;
    addEventListener("storage", ({ key }) => key && this.#watch(key, places), { signal });
    this.send();
  }

  #watch(place, places) {
    if (!place.startsWith(places) || this.#watched.has(place)) return;
    this.#watched.add(place);
    const { signal } = this.#leave;
    const adopt = () => {
      const left = JSON.parse(localStorage.getItem(place) ?? "[]");
      if (signal.aborted || !left.length) return;
      this.ops.push(...left);
      this.#changed();
      localStorage.removeItem(place);
      for (const op of this.undecided()) this.#ask(op);
      this.send();
    };
    // Without locks (no "secure" page) what another tab is sending may be sent twice, which the
    // idempotency key makes once.
    if (navigator.locks) navigator.locks.request(place, { signal }, adopt).catch(() => {});
    else adopt();
  }

  close() {
    this.#leave?.abort();
    this.ops = [];
    this.#place = "";
    this.#store.await(null);
    clearTimeout(this.#timer);
    this.dispatchEvent(new Event("change"));
  }

  // Nothing of it is wanted any more.
  discard() {
    this.ops = [];
    this.#changed();
  }

  // Whether all has been sent within so many milliseconds.
  async sent(patience) {
    if (this.ops.length && this.online) {
      const over = new AbortController();
      await new Promise((done) => {
        const timer = setTimeout(done, patience);
        this.addEventListener("change", () => {
          if (this.ops.length) return;
          clearTimeout(timer);
          done();
        }, { signal: over.signal });
      });
      over.abort();
    }
    return !this.ops.length;
  }

  // What was left to be decided about a task, or (without one) about any.
  undecided(id) {
    return this.ops.filter((op) => op.state !== "waiting" && (id === undefined || op.id === id));
  }

  get pending() { return this.ops.length; }

  of(id) { return this.ops.filter((op) => op.id === id); }

  create(data) {
    const key = random();
    return this.#add({ key, kind: "create", id: NEW + key, data });
  }

  // `base` and `version`: what the change was made to, if that is not what is here now.
  update(task, data, base = task, version = task.version) {
    const last = this.of(task.id).at(-1);
    if (last && !last.tried && last.state === "waiting" && last.kind !== "delete") {
      for (const field of Object.keys(last.base ? data : {})) {
        if (!(field in last.base)) last.base[field] = base[field];
      }
      Object.assign(last.data, data);
      this.#changed();
      return last;
    }
    const before = Object.fromEntries(Object.keys(data).map((field) => [field, base[field]]));
    const { id, title } = task;
    return this.#add({ kind: "update", id, title, data, base: before, version });
  }

  // Sent after so many milliseconds: until then it can be taken back.
  remove(task, delay) {
    const after = Date.now() + delay;
    return this.#add({ kind: "delete", id: task.id, data: {}, version: task.version, after });
  }

  takeBack(op) {
    if (op.tried || !this.ops.includes(op)) return false;
    this.#drop(op);
    return true;
  }

  // What somebody types while they decide, which is theirs as much as what they typed before.
  amend(op, data) {
    Object.assign(op.data, data);
    this.#changed();
  }

  // What was decided: send this instead (nothing: do not), on top of what is there now.
  settle(op, data) {
    const current = this.#store.tasks.get(op.id);
    if (data === null || (op.kind !== "create" && !current)) {
      this.#drop(op);
      return;
    }
    Object.assign(op, { data, state: "waiting", tried: false, key: random() });
    if (current) {
      op.version = current.version;
      op.base = Object.fromEntries(Object.keys(data).map((field) => [field, current[field]]));
    }
    this.#changed();
    this.send();
  }

  // The tasks with everything pending done to them: id -> task, `pending` where something is.
  view() {
    const found = new Map(this.#store.tasks);
    for (const op of this.ops) {
      const task = op.kind === "create" ? this.#unmade(op) : found.get(op.id);
      if (!task) continue;
      if (op.kind === "delete" && op.state === "waiting") found.delete(op.id);
      else found.set(op.id, { ...task, ...op.data, pending: op.state });
    }
    return found;
  }

  #unmade({ id, at }) {
    const me = this.#store.me.id;
    return {
      id, title: "", description: null, status: "todo", priority: "medium", due_date: null,
      user_id: me, created_by: me, assigned_to: null, created_at: at, updated_at: at, version: 0,
    };
  }

  #add(op) {
    const whole = { key: random(), after: 0, tried: false, state: "waiting", ...op };
    whole.at = new Date().toISOString();
    this.ops.push(whole);
    this.#changed();
    this.send();
    return whole;
  }

  #drop(op) {
    this.ops = this.ops.filter((other) => other !== op);
    this.#changed();
  }

  #changed() {
    if (this.#place) {
      if (this.ops.length) localStorage.setItem(this.#place, JSON.stringify(this.ops));
      else localStorage.removeItem(this.#place);
    }
    this.dispatchEvent(new Event("change"));
  }

  // The next to be sent: what is about a task waits for what was done to it before.
  #next() {
    const held = new Set();
    for (const op of this.ops) {
      if (op.state === "waiting" && op.after <= Date.now() && !held.has(op.id)) return op;
      held.add(op.id);
    }
    return null;
  }

  async send() {
    clearTimeout(this.#timer);
    if (this.#running || !this.online) return;
    this.#running = true;
    try {
      for (let op = this.#next(); op && this.online; op = this.#next()) await this.#sendOne(op);
      const later = this.ops.filter(({ after, state }) => after && state === "waiting");
      if (later.length) this.#again(Math.min(...later.map(({ after }) => after)) - Date.now());
    } catch (error) {
      if (!(error instanceof Unreachable || error instanceof Refused)) throw error;
      this.#again(RETRY);
    } finally {
      this.#running = false;
    }
  }

  #again(delay) {
    this.#timer = setTimeout(() => this.send(), Math.max(delay, 0) + 20);
  }

  // Throws what passes by itself; of everything else somebody decides.
  async #sendOne(op) {
    op.tried = true;
    this.#changed();
    // The event of a new task may come before the answer: it is not to be shown twice.
    if (op.kind === "create") this.#store.await(op.data.title.trim());
    try {
      const { body } = await this.#api.request(...request(op));
      this.#done(op, body);
    } catch (error) {
      if (!(error instanceof Refused) || error.passing || error.status === 401) throw error;
      this.#refused(op, error);
    }
    if (op.kind === "create") this.#store.await(null);
  }

  #done(op, body) {
    const rest = this.ops.filter((other) => other !== op);
    if (op.kind === "delete") this.#store.remove(op.id);
    else this.#store.put(body);
    for (const later of rest) {
      if (later.id === op.id && (op.kind === "create" || later.version === op.version)) {
        later.version = body.version;
      }
    }
    if (op.kind === "create") {
      for (const later of rest) if (later.id === op.id) later.id = body.id;
      this.dispatchEvent(new CustomEvent("named", { detail: { from: op.id, to: body.id } }));
    }
    this.#drop(op);
  }

  #refused(op, { status, body, message }) {
    if (status === 412 && body.current) {
      this.#store.put(body.current);
      const clashes = clashing(op, body.current);
      if (op.kind === "update" && !clashes.length) {
        this.settle(op, op.data); // both can be had
        return;
      }
      Object.assign(op, { state: "conflict", clashes });
    } else if (status === 404 && op.kind === "delete") {
      this.#store.remove(op.id);
      this.#drop(op);
      return;
    } else {
      Object.assign(op, { state: status === 404 ? "gone" : "refused", message });
    }
    this.#changed();
    this.#ask(op);
  }

  #ask(op) {
    this.dispatchEvent(new CustomEvent("decide", { detail: op }));
  }

  // The page goes: what was only waiting to be taken back is sent, and outlives the page.
  leave() {
    for (const op of this.ops) {
      if (op.kind !== "delete" || op.tried || !this.online || !this.#api.token) continue;
      const [method, path, options] = request(op);
      op.after = 0;
      this.#api.request(method, path, { ...options, keepalive: true }).catch(() => {});
    }
    this.#changed();
  }
}

// Fields that both changed, each to something else.
function clashing(op, current) {
  return Object.keys(op.data).filter((field) => (
    current[field] !== op.base?.[field] && current[field] !== op.data[field]
  ));
}

function request({ kind, id, data, key, version }) {
  const headers = { "Idempotency-Key": key };
  if (kind === "create") return ["POST", "/tasks", { body: data, headers }];
  headers["If-Match"] = `"${version}"`;
  if (kind === "delete") return ["DELETE", `/tasks/${id}`, { headers }];
  return ["PATCH", `/tasks/${id}`, { body: data, headers }];
}

// Hold the lock of this name until the signal, or for as long as the page lives.
function hold(name, signal) {
  const until = new Promise((end) => { signal.addEventListener("abort", end); });
  navigator.locks?.request(name, () => until);
}
