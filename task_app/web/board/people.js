// Who has an account, and who is here now.

import { avatar, find, make } from "./dom.js";
import { number, plural } from "./format.js";

const EVERY = 10_000; // milliseconds between two looks, where nobody tells us
const FACES = 4;
const PAGES = 5;

export class People {
  #here = [];
  #count = 0;
  #loaded = false;
  #timer = 0;

  constructor({ api, store, live }) {
    Object.assign(this, { api, store, live });
    live.addEventListener("people", ({ detail: { here, count } }) => {
      this.stop(); // whoever tells need not be asked
      this.#take(here, count);
    });
    live.addEventListener("state", () => {
      this.stop();
      if (live.state === "live") {
        this.#later();
        if (!this.#loaded) this.load().catch(() => {}); // the network was not there when it was begun
      }
      if (live.state === "offline") this.#take([], 0); // who is here, nobody knows
    });
    store.addEventListener("event", ({ detail }) => {
      const { actor_id: actor } = detail; // somebody who registered since
      if (actor !== null && !store.people.has(actor)) this.load().catch(() => {});
    });
  }

  async load() {
    this.#loaded = true;
    try {
      await this.#read();
    } catch (error) {
      this.#loaded = false;
      throw error;
    }
  }

  async #read() {
    let path = "/people?limit=1000";
    for (let page = 0; path && page < PAGES; page += 1) {
      const { body, headers } = await this.api.request("GET", path);
      this.store.putPeople(body);
      path = headers.get("Link")?.match(/<(.+)>; rel="next"/)?.[1];
    }
  }

  stop() { clearTimeout(this.#timer); }

  clear() {
    this.stop();
    this.#loaded = false;
    this.#take([], 0);
  }

  #later() {
    this.#timer = setTimeout(() => this.#look(), EVERY);
  }

  async #look() {
    try {
      if (!document.hidden) {
        const { body } = await this.api.request("GET", "/people?here=true&limit=100");
        this.#take(body, body.length);
      }
    } catch { /* the next look may do better */ }
    if (this.live.state === "live") this.#later();
  }

  #take(here, count) {
    this.#here = here;
    this.#count = count;
    const unknown = here.filter(({ id }) => !this.store.people.has(id));
    if (unknown.length) this.store.putPeople(unknown.map((person) => ({ is_active: true, ...person })));
    this.#show();
  }

  #show() {
    const me = this.store.me?.id;
    const others = this.#here.filter(({ id }) => id !== me);
    const button = find("#here");
    const face = ({ id, username }) => avatar(id, username);
    const count = this.#count - (this.#here.length - others.length);
    const rest = count - Math.min(others.length, FACES);
    button.replaceChildren(
      ...others.slice(0, FACES).map(face),
      ...(rest > 0 ? [make("span", { class: "avatar more", "data-letters": `+${number(rest)}` })] : []),
      make("span", { class: "alone" }, this.#here.length && !count ? "Only you" : ""),
    );
    const alone = this.#here.length ? "Only you are here" : "Who is here is not known without a connection";
    const words = count ? `${plural(count, "other person is", "other people are")} here` : alone;
    button.setAttribute("aria-label", words);
    find("#here-list ul").replaceChildren(...this.#here.map((person) => make(
      "li", {}, face(person), make("span", {}, person.id === me ? `${person.username} (you)` : person.username),
    )));
    const more = this.#count - this.#here.length;
    const last = more > 0 ? `and ${plural(more, "other", "others")}` : this.#here.length ? "" : alone;
    if (last) find("#here-list ul").append(make("li", { class: "nothing" }, last));
  }
}
