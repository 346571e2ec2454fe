// What was last known of the board, for the next time it is opened and the server cannot be reached.
// It is kept in this browser alone, for as long as somebody is signed in.

import { remembered } from "./api.js";

const [NAME, STORE, KEY] = ["board", "last", "board"];
const PAUSE = 1000; // milliseconds between a change and its being kept

export class Memory {
  #store;
  #timer = 0;

  constructor(store) {
    this.#store = store;
    store.addEventListener("change", () => {
      this.#timer ||= setTimeout(() => this.keep(), PAUSE);
    });
    document.addEventListener("visibilitychange", () => { if (document.hidden) this.keep(); });
    addEventListener("pagehide", () => this.keep());
  }

  // What was kept: {me, tasks, people, at}, or null.
  async read() {
    return await use("readonly", (kept) => kept.get(KEY)) ?? null;
  }

  keep() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    const { me, tasks, people, epoch, partial } = this.#store;
    // Nothing that was not read from the server; nothing once another tab has signed out.
    if (!me || !epoch || remembered() !== "yes") return Promise.resolve();
    const last = { me, tasks: [...tasks.values()], people: [...people.values()], partial, at: Date.now() };
    return use("readwrite", (kept) => kept.put(last, KEY));
  }

  forget() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    return use("readwrite", (kept) => kept.clear());
  }
}

// Opened once and kept open: when the page goes there is no time to open it.
let opened = null;
let base = null;

function open() {
  return new Promise((done) => {
    const opening = indexedDB.open(NAME, 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore(STORE);
    opening.onerror = () => done();
    opening.onsuccess = () => {
      base = opening.result;
      base.onclose = base.onversionchange = () => { // cleared by the browser, or by a later version
        base?.close();
        opened = base = null;
      };
      done();
    };
  });
}

// The result of one request, undefined where the browser keeps nothing (a private window, a full
// disk): the board is as good without.
async function use(mode, ask) {
  if (base) return within(mode, ask);
  try {
    await (opened ??= open());
  } catch {
    return undefined; // it is forbidden here
  }
  return base ? within(mode, ask) : undefined;
}

function within(mode, ask) {
  return new Promise((done) => {
    try {
      const transaction = base.transaction(STORE, mode);
      const request = ask(transaction.objectStore(STORE));
      transaction.oncomplete = () => done(request.result);
      transaction.onabort = () => done();
      transaction.commit?.(); // the page may be about to go
    } catch {
      done();
    }
  });
}
