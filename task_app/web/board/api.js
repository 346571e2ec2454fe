// The server over REST. The access token lives in this object and dies with the page; what keeps
// one signed in is a cookie that scripts cannot read, which `PUT /session` trades for a new one.

const RENEW_BEFORE = 60; // seconds before the token expires

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

// Events: "token" when there is a new one, "signed-out" when the session is over.
export class Api extends EventTarget {
  token = null;
  user = null;
  #renewal = null;
  #timer = 0;

  async signIn(username, password) {
    const answer = await this.#send("POST", "/session", { body: { username, password } });
    this.#take(await this.#checked(answer));
  }

  async signUp(username, password) {
    const answer = await this.#send("POST", "/register", { body: { username, password } });
    await this.#checked(answer);
    await this.signIn(username, password);
  }

  async signOut() {
    await this.#checked(await this.#send("DELETE", "/session", {}));
    this.#forget();
  }

  // Trade the cookie for a new token. Whoever asks meanwhile waits for the same answer.
  renew() {
    this.#renewal ??= this.#renew().finally(() => { this.#renewal = null; });
    return this.#renewal;
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
      this.#take(await this.#checked(await this.#send("PUT", "/session", {})));
    } catch (error) {
      if (error instanceof Refused && error.status === 401) this.#forget();
      throw error;
    }
  }

  async #send(method, path, { body, headers = {}, keepalive = false }) {
    const sent = { Accept: "application/json", ...headers };
    if (this.token && path !== "/session") sent.Authorization = `Bearer ${this.token}`;
    if (body !== undefined) sent["Content-Type"] = "application/json";
    try {
      return await fetch(path, {
        method, headers: sent, body: body && JSON.stringify(body), keepalive,
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

  #forget() {
    this.token = null;
    clearTimeout(this.#timer);
    localStorage.setItem("session", "none");
    this.dispatchEvent(new Event("signed-out"));
  }
}
