// The copy of the tasks, whichever way events come: sign in, list, apply, print.
import readline from "node:readline";

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
export const log = (...words) => console.error(...words);

export class Copy {
  // `prefix` picks the dialect of the list: it must be that of the events.
  constructor(prefix = "") {
    const [url, username, password] = process.argv.slice(2);
    this.url = (url ?? process.env.TASKS_URL ?? "http://localhost:5000").replace(/\/$/, "");
    this.prefix = prefix;
    this.login = {
      username: username ?? process.env.TASKS_USERNAME,
      password: password ?? process.env.TASKS_PASSWORD,
    };
    this.tasks = new Map();
    this.queue = Promise.resolve();
    this.seq = 0; // where we stand: the number of the last event that came …
    this.epoch = ""; // … and the log it belongs to
    this.listed = 0; // the last event that the list knew of
  }

  async signIn() {
    const body = JSON.stringify(this.login);
    const headers = { "Content-Type": "application/json" };
    const answer = await fetch(`${this.url}/login`, { method: "POST", headers, body });
    const told = await answer.json();
    if (answer.status === 400 || answer.status === 401) {
      log("cannot sign in:", told.message);
      process.exit(1);
    }
    if (!answer.ok) throw new Error(told.message);
    this.token = told.access_token;
  }

  // Sign in, and again and again while the server is away.
  async signInPatiently() {
    for (;;) {
      try {
        return await this.signIn();
      } catch (error) {
        log("cannot sign in yet:", error.message);
        await sleep(1000);
      }
    }
  }

  // Read every page. The first tells the event that the copy is up to date with.
  async readList() {
    const tasks = new Map();
    let where = null;
    let path = `${this.prefix}/tasks?limit=1000`;
    while (path) {
      const headers = { Authorization: `Bearer ${this.token}` };
      const answer = await fetch(this.url + path, { headers });
      if (answer.status === 401) await this.signIn();
      if (!answer.ok) throw new Error(`the list answers ${answer.status}`);
      where ??= answer.headers;
      for (const task of await answer.json()) tasks.set(task.id, task);
      path = answer.headers.get("Link")?.match(/<(.+)>; rel="next"/)?.[1];
    }
    this.tasks = tasks;
    this.listed = this.seq = Number(where.get("X-Event-Seq"));
    this.epoch = where.get("X-Event-Epoch");
  }

  async list() {
    for (;;) {
      try {
        return await this.readList();
      } catch (error) {
        log("cannot list yet:", error.message);
        await sleep(1000);
      }
    }
  }

  // Everything goes through one queue, so that events that come while the list is read wait.
  inTurn(work) {
    this.queue = this.queue.then(work).catch((error) => log(error));
  }

  resync(reason) {
    log("list again:", reason);
    this.inTurn(() => this.list());
  }

  // An event: `task` as it is now, or null where it is gone (or gone from our sight).
  apply(seq, id, task) {
    this.seq = seq;
    this.inTurn(() => {
      if (seq <= this.listed) return; // the list knew of it
      if (task) this.tasks.set(id, task);
      else this.tasks.delete(id);
    });
  }

  print() {
    console.log(JSON.stringify([...this.tasks.values()].sort((a, b) => a.id - b.id)));
  }

  // A line `print` prints the copy; Ctrl-C prints it and ends.
  listenToUser() {
    readline.createInterface({ input: process.stdin }).on("line", (line) => {
      if (line.trim() === "print") this.print();
    });
    process.on("SIGINT", () => {
      this.print();
      process.exit(0);
    });
  }
}
