// Who changed what, and when: read from the event log, then kept up by the live feed.

import { avatar, find, make } from "./dom.js";
import { FIELD_WORDS, STATUS_WORDS, ago, inWords, list, moment } from "./format.js";

const KEPT = 300;

export class Activity {
  #rows = [];
  #cursor = null;
  #loaded = false;

  constructor({ api, store, live, open }) {
    Object.assign(this, { api, store, open });
    this.panel = find("#activity");
    this.place = find("#activity-list");
    find("#activity-button").addEventListener("click", () => this.toggle());
    find("#activity-close").addEventListener("click", () => this.toggle());
    find("#activity-more").addEventListener("click", () => this.#more());
    this.panel.addEventListener("keydown", ({ key }) => { if (key === "Escape") this.toggle(); });
    store.addEventListener("begin", () => this.forget());
    store.addEventListener("event", ({ detail }) => this.#take(detail));
    live.addEventListener("state", () => {
      if (live.state === "live" && !this.#loaded && !this.panel.hidden) this.#more();
    });
  }

  toggle() {
    const opens = this.panel.hidden;
    this.panel.hidden = !opens;
    const button = find("#activity-button");
    button.setAttribute("aria-expanded", String(opens));
    if (opens) {
      if (!this.#loaded) this.#more();
      else this.#show();
      find("#activity-close").focus();
    } else {
      button.focus();
    }
  }

  // After a gap the log is read anew.
  forget() {
    this.#rows = [];
    this.#cursor = null;
    this.#loaded = false;
    this.place.replaceChildren();
    if (!this.panel.hidden && this.store.me) this.#more();
  }

  async #more() {
    const where = this.#cursor ? `&cursor=${this.#cursor}` : "";
    let answer;
    try {
      answer = await this.api.request("GET", `/activity?limit=50${where}`);
    } catch {
      this.place.replaceChildren(make("li", { class: "nothing" }, "What happened is not known without a connection; it comes with it."));
      return;
    }
    this.#loaded = true;
    const link = answer.headers.get("Link");
    this.#cursor = link && new URLSearchParams(link.slice(link.indexOf("?"), link.indexOf(">"))).get("cursor");
    const known = new Set(this.#rows.map(({ seq }) => seq));
    this.#rows.push(...answer.body.filter(({ seq }) => !known.has(seq)));
    this.#rows.sort((a, b) => b.seq - a.seq);
    this.#show();
  }

  #take(event) {
    if (!this.#loaded || !event.type.startsWith("task_") || !("task" in event)) return;
    if (this.#rows.some(({ seq }) => seq === event.seq)) return;
    const task = event.type === "task_removed" ? null : event;
    const { seq, type, task: taskId, actor_id: actorId, changes, at } = event;
    const actor = this.store.people.get(actorId)?.username ?? null;
    this.#rows.unshift({ seq, type, task_id: taskId, actor_id: actorId, actor, changes, task, at });
    this.#rows.length = Math.min(this.#rows.length, KEPT);
    this.#show();
  }

  #show() {
    if (this.panel.hidden) return;
    this.place.replaceChildren(...this.#rows.map((row) => this.#row(row)));
    if (!this.#rows.length) {
      this.place.append(make("li", { class: "nothing" }, "Nothing has happened yet."));
    }
    find("#activity-more").hidden = !this.#cursor;
  }

  #row(row) {
    const name = row.actor_id === this.store.me?.id
      ? "You" : row.actor ?? (row.actor_id === null ? "The server" : this.store.name(row.actor_id));
    const title = row.task?.title ?? "a task";
    const there = this.store.tasks.has(row.task_id);
    const what = there
      ? make("button", { class: "link", onclick: () => this.open(row.task_id) }, title)
      : make("span", { class: "gone" }, title);
    return make(
      "li",
      {},
      avatar(row.actor_id ?? 0, row.actor ?? (row.actor_id === this.store.me?.id ? this.store.me.username : name)),
      make("p", {}, make("b", {}, name), ...this.#sentence(row, what)),
      make("time", { datetime: row.at, title: moment(row.at) }, ago(row.at)),
    );
  }

  #sentence({ type, task, changes }, what) {
    if (type === "task_created") return [" added ", what];
    if (type === "task_deleted") return [" deleted ", what];
    if (type === "task_removed") return [" took ", what, " out of your sight"];
    const fields = changes.filter((field) => field in FIELD_WORDS);
    if (type === "task_status_changed" && fields.length === 1) {
      return [" moved ", what, ` to “${STATUS_WORDS[task.status]}”`];
    }
    if (fields.length === 1 && fields[0] !== "description" && fields[0] !== "title") {
      return [` set the ${FIELD_WORDS[fields[0]]} of `, what, ` to ${inWords(fields[0], task[fields[0]], this.store)}`];
    }
    return [` changed the ${list(fields.map((field) => FIELD_WORDS[field]))} of `, what];
  }
}
