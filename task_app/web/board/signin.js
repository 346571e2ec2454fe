// The door: sign in, or make an account.

import { find, say } from "./dom.js";
import { Unreachable } from "./api.js";

const HINTS = {
  in: "Tasks that everyone sees change at once.",
  up: "A name and a password of 8 characters or more are all it takes.",
};
const WORDS = {
  in: ["Sign in to the board", "Sign in", "New here?", "Create an account", "current-password"],
  up: ["Create an account", "Create account", "Have an account?", "Sign in", "new-password"],
};

export class SignIn {
  #mode = "in";
  #form = find("#sign-in");

  constructor(api) {
    this.api = api;
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#go();
    });
    find("#sign-in-switch").addEventListener("click", () => this.#become(this.#mode === "in" ? "up" : "in"));
  }

  // Resolves when somebody has signed in. `why` is said above the form.
  open(why = "") {
    find("#welcome").hidden = false;
    find("#app").hidden = true;
    document.documentElement.dataset.session = "none";
    say(find("#sign-in-hint"), why || HINTS[this.#mode]);
    this.#form.username.focus();
    return new Promise((done) => { this.done = done; });
  }

  #become(mode) {
    this.#mode = mode;
    const [title, go, question, other, complete] = WORDS[mode];
    say(find("#sign-in-title"), title);
    say(find("#sign-in-go"), go);
    say(find("#sign-in-ask"), question);
    say(find("#sign-in-switch"), other);
    say(find("#sign-in-hint"), HINTS[mode]);
    say(find("#sign-in-error"), "");
    this.#form.password.autocomplete = complete;
    this.#form.username.focus();
  }

  #complaint({ username, password }) {
    if (!username) return "Please give a name.";
    if (!password) return "Please give a password.";
    if (this.#mode === "up" && password.length < 8) return "A password needs at least 8 characters.";
    return "";
  }

  async #go() {
    const { username, password } = Object.fromEntries(new FormData(this.#form));
    const complaint = this.#complaint({ username, password });
    say(find("#sign-in-error"), complaint);
    if (complaint) return;
    const button = find("#sign-in-go");
    button.disabled = true;
    try {
      if (this.#mode === "in") await this.api.signIn(username, password);
      else await this.api.signUp(username.trim(), password);
      this.#form.reset();
      this.#become("in");
      find("#welcome").hidden = true;
      this.done();
    } catch (error) {
      say(find("#sign-in-error"), this.#words(error));
    } finally {
      button.disabled = false;
    }
  }

  #words(error) {
    if (error instanceof Unreachable) return "The server cannot be reached. Try again in a moment.";
    const first = Object.values(error.body?.errors ?? {})[0]?.[0];
    return first ? `${error.message}: ${first}` : `${error.message}.`;
  }
}
