// The bell: how many notifications are unread, and the last of them.

import { find, make, say } from "./dom.js";
import { ago, moment, number, plural } from "./format.js";

const SHOWN = 40;

export class Bell {
  #notices = [];
  #known = false;
  #unread = 0;
  #seq = 0; // of the log, that the list was up to date with when it was read
  #events = [];

  constructor({ api, store, live, open }) {
    Object.assign(this, { api, store, open });
    this.list = find("#bell-list ul");
    find("#read-all").addEventListener("click", () => this.#readAll());
    find("#bell-list").addEventListener("toggle", ({ newState }) => {
      if (newState === "open") this.#show();
    });
    store.addEventListener("begin", () => { // perhaps another log, which counts anew
      this.#seq = 0;
      this.#events = [];
    });
    store.addEventListener("event", ({ detail }) => this.#take(detail));
    live.addEventListener("state", () => { if (live.state === "live") this.load().catch(() => {}); });
  }

  async load() {
    const { body, headers } = await this.api.request("GET", `/notifications?limit=${SHOWN}`);
    const seq = Number(headers.get("X-Event-Seq"));
    if (seq < this.#seq) return; // a later answer was sooner here
    this.#seq = seq;
    this.#notices = body;
    this.#known = true;
    this.#count(Number(headers.get("X-Unread-Count")));
    // What came while the answer was on its way.
    this.#events.forEach((event) => this.#do(event));
  }

  #take(event) {
    if (!event.type.startsWith("notification_")) return;
    this.#events = [...this.#events, event].slice(-SHOWN);
    this.#do(event);
  }

  #do(event) {
    if (event.seq <= this.#seq) return;
    if (event.type === "notification_created" && "kind" in event) {
      if (this.#notices.some(({ id }) => id === event.id)) return;
      this.#notices = [event, ...this.#notices].slice(0, SHOWN);
      this.#count(this.#unread + 1);
    } else if (event.type === "notification_read" && "ids" in event) {
      const ids = new Set(event.ids);
      for (const notice of this.#notices) if (ids.has(notice.id)) notice.is_read = event.is_read;
      this.load().catch(() => this.#show()); // how many are unread, those not shown here too
    }
  }

  #count(unread) {
    this.#unread = unread;
    const badge = find("#unread");
    badge.hidden = !unread;
    say(badge, unread > 99 ? "99+" : number(unread));
    const words = unread ? plural(unread, "unread notification", "unread notifications") : "Notifications";
    find("#bell").setAttribute("aria-label", words);
    find("#read-all").hidden = !unread;
    this.#show();
  }

  #show() {
    if (!find("#bell-list").matches(":popover-open")) return;
    this.list.replaceChildren(...this.#notices.map((notice) => make(
      "li",
      {},
      make(
        "button",
        { class: notice.is_read ? "notice" : "notice unread", onclick: () => this.#choose(notice) },
        make("span", {}, notice.is_read ? null : make("span", { class: "vh" }, "Unread: "), notice.message),
        make("time", { datetime: notice.created_at, title: moment(notice.created_at) }, ago(notice.created_at)),
      ),
    )));
    if (!this.#notices.length) {
      const words = this.#known
        ? "Nothing yet. You hear here of tasks you are assigned, and of what becomes of yours."
        : "Your notifications are not known without a connection; they come with it.";
      this.list.append(make("li", { class: "nothing" }, words));
    }
  }

  #choose(notice) {
    if (!notice.is_read) this.api.request("POST", `/notifications/${notice.id}`).catch(() => {});
    find("#bell-list").hidePopover();
    this.open(notice.task_id);
  }

  #readAll() {
    this.api.request("POST", "/notifications/read").catch(() => {});
  }

  clear() {
    this.#notices = [];
    this.#events = [];
    this.#seq = 0;
    this.#known = false;
    this.list.replaceChildren();
    this.#count(0);
  }
}
