// The server over REST. The access token lives in this object and dies with the page; what keeps
// one signed in is a cookie that scripts cannot read, which `PUT /session` trades for a new one.

const RENEW_BEFORE = 60; // seconds before the token expires
const FAREWELL = 3000; // milliseconds
const PATIENCE = 20_000; // milliseconds for an answer; what is sent again is done once

// What the browser remembers of the session, which is no secret: whether there is one ("yes",
// "none"), or one that somebody has left while the server could not be told ("left").
export const remembered = () => localStorage.getItem("session") ?? "none";

// The server said no. `status` is HTTP's; `body` is `{message, code, errors?, current?}`.
export class Refused extends Error {
  constructor(status, body) {
    super(body.message ?? `The server answered ${status}`);
    this.status = status;
    this.body = body;
  }

  // The same request may do later: nothing is wrong with it.
  get passing() { return this.status === 429 || this.status >= 500; }
}

// The server was not reached, or its answer was lost: it may have done it or not.
export class Unreachable extends Error {}

// Events: "token" when there is a new one; "signed-out" ({wanted}: by whoever sits here) when the
// session is over.
export class Api extends EventTarget {
  token = null;
  user = null;
  #renewal = null;
  #timer = 0;

  constructor() {
    super();
    addEventListener("storage", ({ key, newValue }) => { // by another tab
      if (key === "session" && newValue !== "yes") this.#end();
    });
  }

  signIn(username, password) {
    return this.#begin("POST", { username, password });
  }

  async signUp(username, password) {
    const answer = await this.#send("POST", "/register", { body: { username, password } });
    await this.#checked(answer);
    await this.signIn(username, password);
  }

  // Every session of the account ends, this one too; it goes on under what the answer brings, and
  // whoever needs a token meanwhile waits for that.
  async changePassword(old, fresh) {
    await this.renew(); // so that a refusal is about the password
    while (this.#renewal) await this.#renewal;
    const body = { old_password: old, new_password: fresh };
    return this.#renewing(() => this.#begin("PATCH", body));
  }

  // Here it is over whether the server can be told or not (soon, or `finish` is to be called again).
  async signOut() {
    localStorage.setItem("session", "left");
    const enough = new Promise((done) => { setTimeout(done, FAREWELL); });
    await Promise.race([this.finish().catch(() => {}), enough]);
    this.#forget(remembered() === "left" ? "left" : "none");
  }

  // End on the server what was ended here. Throws `Unreachable`.
  async finish() {
    await this.#alone(async () => {
      if (remembered() !== "left") return; // somebody has signed in since
      const answer = await this.#send("DELETE", "/session", { keepalive: true });
      if (answer.status >= 500) throw new Unreachable(`The server answered ${answer.status}`);
      localStorage.setItem("session", "none");
    });
  }

  // Trade the cookie for a new token. Whoever asks meanwhile waits for the same answer.
  renew() {
    return this.#renewing(() => this.#renew());
  }

  #renewing(work) {
    this.#renewal ??= work().finally(() => { this.#renewal = null; });
    return this.#renewal;
  }

  // One tab at a time: an answer may bring the cookie that the next request is to carry. (Without
  // locks, on a page that is not "secure", two tabs at once may have to sign in again.)
  #alone(work) {
    return navigator.locks ? navigator.locks.request("session", work) : work();
  }

  #begin(method, body) {
    return this.#alone(async () => {
      this.#take(await this.#checked(await this.#send(method, "/session", { body })));
    });
  }

  // The body of the answer and its headers. Throws `Refused`, `Unreachable`.
  async request(method, path, options = {}) {
    if (!this.token) await this.renew();
    let answer = await this.#send(method, path, options);
    if (answer.status === 401) {
      await this.renew();
      answer = await this.#send(method, path, options);
    }
    return { body: await this.#checked(answer), headers: answer.headers };
  }

  async get(path) {
    return (await this.request("GET", path)).body;
  }

  async #renew() {
    try {
      await this.#begin("PUT");
    } catch (error) {
      if (error instanceof Refused && error.status === 401) this.#forget("none", false);
      throw error;
    }
  }

  async #send(method, path, { body, headers = {}, keepalive = false }) {
    const sent = { Accept: "application/json", ...headers };
    if (this.token && (path !== "/session" || method === "PATCH")) sent.Authorization = `Bearer ${this.token}`;
    if (body !== undefined) sent["Content-Type"] = "application/json";
    try {
      return await fetch(path, {
        method, headers: sent, body: body && JSON.stringify(body), keepalive,
        signal: AbortSignal.timeout(PATIENCE),
      });
    } catch (error) {
      throw new Unreachable(error.message);
    }
  }

  async #checked(answer) {
    let body;
    try {
      body = await answer.json();
    } catch (error) {
      if (answer.ok) throw new Unreachable(error.message);
      body = {};
    }
    if (!answer.ok) throw new Refused(answer.status, body);
    return body;
  }

  #take({ access_token: token, expires_in: seconds, user }) {
    this.token = token;
    this.user = user;
    localStorage.setItem("session", "yes");
    clearTimeout(this.#timer);
    const wait = Math.min(Math.max(seconds - RENEW_BEFORE, seconds / 2), 86_400);
    this.#timer = setTimeout(() => this.renew().catch(() => {}), wait * 1000);
    this.dispatchEvent(new Event("token"));
  }

  #forget(session, wanted = true) {
    localStorage.setItem("session", session);
    this.#end(wanted);
  }

  #end(wanted = true) {
    this.token = this.user = null;
    clearTimeout(this.#timer);
    this.dispatchEvent(new CustomEvent("signed-out", { detail: { wanted } }));
  }
}
