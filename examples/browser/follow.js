// Keep a copy of your tasks, live, and miss nothing: Server-Sent Events, nothing but the browser.
"use strict";

const element = (id) => document.getElementById(id);
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const tell = (text) => { element("status").textContent = text; };

class Follower {
  constructor(url, login) {
    this.url = url.replace(/\/$/, "");
    this.login = login;
    this.token = null;
    this.tasks = new Map();
    this.seq = 0; // where we stand: the number of the last event …
    this.epoch = ""; // … and the log it belongs to; empty: list first
  }

  async ask(method, path, body) {
    const headers = { "Content-Type": "application/json" };
    if (this.token) headers.Authorization = `Bearer ${this.token}`;
    const answer = await fetch(this.url + path, { method, headers, body: JSON.stringify(body) });
    if (answer.status === 401) this.token = null;
    if (!answer.ok) throw new Error((await answer.json()).message);
    return answer;
  }

  async signIn() {
    const answer = await this.ask("POST", "/login", this.login);
    this.token = (await answer.json()).access_token;
  }

  // Read every page. The first tells the event that the copy is up to date with.
  async list() {
    const tasks = new Map();
    let where = null;
    let path = "/tasks?limit=1000";
    while (path) {
      const answer = await this.ask("GET", path);
      where ??= answer.headers;
      for (const task of await answer.json()) tasks.set(task.id, task);
      path = answer.headers.get("Link")?.match(/<(.+)>; rel="next"/)?.[1];
    }
    this.tasks = tasks;
    this.seq = Number(where.get("X-Event-Seq"));
    this.epoch = where.get("X-Event-Epoch");
    this.show();
  }

  // One connection after the other, each from where we stand.
  async run() {
    for (;;) {
      try {
        if (!this.token) await this.signIn();
        if (!this.epoch) await this.list();
        await this.stream();
      } catch (error) {
        tell(error.message);
      }
      await sleep(1000);
    }
  }

  // Resolves when the connection ends. EventSource cannot send a header and would come back with
  // a ticket that is used up, so each connection gets a ticket of its own.
  async stream() {
    const { ticket } = await (await this.ask("POST", "/ws/ticket")).json();
    const where = new URLSearchParams({ ticket, since: this.seq, epoch: this.epoch });
    const source = new EventSource(`${this.url}/events?${where}`);
    await new Promise((end) => {
      const on = (name, work) => source.addEventListener(name, (event) => {
        work(JSON.parse(event.data));
      });
      for (const name of ["task_created", "task_updated", "task_status_changed"]) {
        on(name, ({ seq, epoch, type, task, actor_id, changes, at, request_id, ...snapshot }) => {
          this.tasks.set(task, snapshot);
          this.moveTo(seq);
        });
      }
      for (const name of ["task_deleted", "task_removed"]) { // gone, or gone from our sight
        on(name, ({ seq, task }) => {
          this.tasks.delete(task);
          this.moveTo(seq);
        });
      }
      on("ready", ({ replayed }) => tell(`Live, ${replayed} events caught up`));
      on("resync", () => {
        this.epoch = ""; // list, then connect from there
        end();
      });
      on("end", end);
      source.onerror = end;
    });
    source.close();
    tell("Connection lost");
  }

  moveTo(seq) {
    this.seq = seq;
    this.show();
  }

  // Titles are other people's text: they are set as text, never as HTML.
  show() {
    const tasks = [...this.tasks.values()].sort((a, b) => a.id - b.id);
    element("state").textContent = JSON.stringify(tasks);
    element("tasks").replaceChildren(...tasks.map((task) => {
      const item = document.createElement("li");
      item.textContent = `${task.title} (${task.status})`;
      return item;
    }));
  }
}

element("sign-in").addEventListener("submit", (event) => {
  event.preventDefault();
  const { url, ...login } = Object.fromEntries(new FormData(event.target));
  event.target.hidden = true;
  new Follower(url, login).run();
});
