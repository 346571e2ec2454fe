// Who has an account, and who is here now.

import { avatar, find, make } from "./dom.js";
import { number, plural } from "./format.js";

const EVERY = 10_000; // milliseconds; servers tell each other every five seconds
const FACES = 4;
const PAGES = 5;

export class People {
  #here = [];
  #timer = 0;

  constructor({ api, store, live }) {
    Object.assign(this, { api, store, live });
    live.addEventListener("state", () => { if (live.state === "live") this.#look(); });
    document.addEventListener("visibilitychange", () => this.#look());
    store.addEventListener("event", ({ detail }) => {
      const { actor_id: actor } = detail; // somebody who registered since
      if (actor !== null && !store.people.has(actor)) this.load().catch(() => {});
    });
  }

  async load() {
    let path = "/people?limit=1000";
    for (let page = 0; path && page < PAGES; page += 1) {
      const { body, headers } = await this.api.request("GET", path);
      this.store.putPeople(body);
      path = headers.get("Link")?.match(/<(.+)>; rel="next"/)?.[1];
    }
  }

  async #look() {
    clearTimeout(this.#timer);
    if (document.hidden || this.live.state !== "live") return;
    try {
      const { body } = await this.api.request("GET", "/people?here=true&limit=100");
      this.#here = body;
      if (body.some(({ id }) => !this.store.people.has(id))) this.store.putPeople(body);
      this.#show();
    } catch { /* the next look may do better */ }
    this.#timer = setTimeout(() => this.#look(), EVERY);
  }

  stop() { clearTimeout(this.#timer); }

  #show() {
    const me = this.store.me?.id;
    const others = this.#here.filter(({ id }) => id !== me);
    const button = find("#here");
    const face = ({ id, username }) => avatar(id, username);
    const rest = others.length - FACES;
    button.replaceChildren(
      ...others.slice(0, FACES).map(face),
      ...(rest > 0 ? [make("span", { class: "avatar more", "data-letters": `+${number(rest)}` })] : []),
      make("span", { class: "alone" }, others.length ? "" : "Only you"),
    );
    const words = others.length ? `${plural(others.length, "other person is", "other people are")} here` : "Only you are here";
    button.setAttribute("aria-label", words);
    find("#here-list ul").replaceChildren(...this.#here.map((person) => make(
      "li", {}, face(person), make("span", {}, person.id === me ? `${person.username} (you)` : person.username),
    )));
  }
}
