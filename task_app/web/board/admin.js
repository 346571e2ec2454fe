// For admins: accounts, who is connected, a word to everybody, and how the server is.

import { avatar, find, make, say } from "./dom.js";
import { Chart } from "./chart.js";
import { ago, moment, number } from "./format.js";

const EVERY = 1000; // milliseconds
const FACTS = ["Server", "Database", "Redis", "Connections", "Events so far"];
const MOST = 5000; // accounts in the table

export class Admin {
  #place = find("#admin");
  #timer = 0;
  #last = null;
  #here = [];
  #built = false;

  constructor({ api, store, toast, live }) {
    Object.assign(this, { api, store, toast });
    live.addEventListener("people", ({ detail }) => {
      this.#here = detail.here;
      if (!this.#place.hidden) this.#showHere();
    });
  }

  show(shown) {
    clearTimeout(this.#timer);
    this.#last = null;
    if (!shown) return;
    if (!this.#built) this.#build();
    this.#showHere();
    this.#listUsers();
    this.#watch();
  }

  clear() {
    this.show(false);
    this.#place.hidden = true;
    this.#here = [];
    if (this.#built) for (const place of [this.rows, this.connected]) place.replaceChildren();
  }

  #build() {
    this.#built = true;
    const top = make("span", { class: "top" });
    this.chart = new Chart(top);
    this.rate = make("strong", {}, "–");
    this.facts = make("dl", { class: "facts" }, ...FACTS.map((name) => (
      make("div", {}, make("dt", {}, name), make("dd", {}, "–"))
    )));
    this.connected = make("ul", { class: "connected" });
    this.rows = make("tbody", {});
    this.#place.append(
      make(
        "section", { class: "panel" }, make("h2", {}, "Events a second"),
        make("p", { class: "figure" }, this.rate, " now"),
        make("div", { class: "plot" }, top, this.chart.element),
        make("p", { class: "hint" }, "The last minute, live."),
      ),
      make(
        "section", { class: "panel" }, make("h2", {}, "Health"), this.facts,
        make("h3", {}, "Connected people"), this.connected,
      ),
      this.#broadcast(),
      make(
        "section", { class: "panel wide" }, make("h2", {}, "Accounts"),
        make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Accounts" }, make(
          "table", {},
          make("thead", {}, make("tr", {}, ...["Name", "E-mail", "Role", "May sign in", "Last signed in"].map((word) => make("th", { scope: "col" }, word)))),
          this.rows,
        )),
      ),
    );
  }

  #broadcast() {
    const text = make("textarea", { name: "text", rows: "3", maxlength: "500", required: true });
    const form = make(
      "form", { class: "panel" }, make("h2", {}, "Message to everybody"),
      make("label", {}, "It appears at once on every open board", text),
      make("button", { class: "primary" }, "Send"),
    );
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const message = { type: "announcement", data: { text: text.value.trim() } };
      const sent = await this.#try(() => this.api.request("POST", "/broadcast", { body: message }));
      if (!sent) return;
      text.value = "";
      this.toast(`Sent to ${number(sent.body.recipients ?? 0)} connections`);
    });
    return form;
  }

  // What is done or said why not.
  async #try(work) {
    try {
      return await work();
    } catch (error) {
      this.toast(error.message);
      return null;
    }
  }

  async #listUsers() {
    const users = [];
    let path = "/users?limit=1000";
    while (path && users.length < MOST) {
      const asked = path;
      const answer = await this.#try(() => this.api.request("GET", asked));
      if (!answer) return;
      users.push(...answer.body);
      path = answer.headers.get("Link")?.match(/<(.+)>; rel="next"/)?.[1];
    }
    this.rows.replaceChildren(...users.map((user) => this.#row(user)));
  }

  #row(user) {
    const own = user.id === this.store.me.id;
    const role = make("select", { "aria-label": `Role of ${user.username}`, disabled: own },
      new Option("Member", "member"), new Option("Admin", "admin"));
    role.value = user.role;
    const active = make("input", { type: "checkbox", "aria-label": `${user.username} may sign in`, checked: user.is_active, disabled: own });
    role.addEventListener("change", () => this.#change(user, { role: role.value }));
    active.addEventListener("change", () => this.#change(user, { is_active: active.checked }));
    const last = user.last_login
      ? make("time", { datetime: user.last_login, title: moment(user.last_login) }, ago(user.last_login)) : "never";
    return make(
      "tr", {},
      make("th", { scope: "row" }, avatar(user.id, user.username), make("span", {}, user.username)),
      make("td", {}, user.email ?? "–"), make("td", {}, role), make("td", {}, active), make("td", {}, last),
    );
  }

  async #change(user, change) {
    const done = await this.#try(() => this.api.request("PATCH", `/users/${user.id}`, { body: change }));
    if (done) this.toast(`${user.username}: saved`);
    this.#listUsers();
  }

  // The log's last number, once a second: how far it has gone is the rate.
  async #watch() {
    const began = performance.now();
    try {
      const health = await this.api.get("/health");
      this.#showHealth(health, began);
    } catch {
      this.#last = null;
      say(this.rate, "–");
    }
    if (!this.#place.hidden) {
      this.#timer = setTimeout(() => this.#watch(), Math.max(0, EVERY - (performance.now() - began)));
    }
  }

  #showHealth(health, now) {
    if (this.#last) {
      const rate = ((health.seq - this.#last.seq) * 1000) / (now - this.#last.now);
      const rounded = Math.max(0, Math.round(rate * 10) / 10);
      say(this.rate, number(rounded));
      this.chart.add(rounded);
    }
    this.#last = { seq: health.seq, now };
    const { status, database, redis, connectedClients, seq } = health;
    const values = [status, database, redis, number(connectedClients), number(seq)];
    this.facts.querySelectorAll("dd").forEach((place, index) => say(place, values[index]));
  }

  #showHere() {
    this.connected.replaceChildren(...this.#here.map(({ id, username }) => make(
      "li", {}, avatar(id, username), username,
    )));
  }
}
