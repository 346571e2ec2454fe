// One's own account: how the board looks here, the password, and the way out.

import { Unreachable } from "./api.js";
import { ask, toast } from "./dialogs.js";
import { dropDraft } from "./editor.js";
import { avatar, find, make, say } from "./dom.js";
import { plural } from "./format.js";

const SHORTEST = 8; // characters of a password
const PATIENCE = 2000; // milliseconds for what is still being sent when somebody leaves

export class Account {
  constructor({ api, store, queue, columns }) {
    Object.assign(this, { api, store, queue, columns });
    find("#change-password").addEventListener("click", () => this.#changePassword());
    find("#sign-out").addEventListener("click", () => this.#signOut());
    this.#theme();
  }

  show() {
    const { me } = this.store;
    avatar(me.id, me.username, find("#me")).classList.add("me");
    say(find("#me-name"), me.username);
    say(find("#me-role"), me.role === "admin" ? "Administrator" : "Member");
    this.#remember(me.role);
  }

  // So that the next page has its views before it knows who is there (`theme.js`).
  #remember(role) {
    document.documentElement.dataset.role = role;
    localStorage.setItem("role", role);
  }

  clear() {
    for (const place of ["#me-name", "#me-role"]) say(find(place), "");
    const me = find("#me");
    delete me.dataset.letters;
    me.removeAttribute("title");
    this.#remember("member");
  }

  #theme() {
    const chosen = localStorage.getItem("theme") ?? "auto";
    for (const radio of document.querySelectorAll("[name=theme]")) {
      radio.checked = radio.value === chosen;
      radio.addEventListener("change", () => {
        localStorage.setItem("theme", radio.value);
        if (radio.value === "auto") delete document.documentElement.dataset.theme;
        else document.documentElement.dataset.theme = radio.value;
      });
    }
  }

  // --- the password

  async #changePassword() {
    find("#me-menu").hidePopover();
    const password = (name, words, complete) => make("label", {}, words, make(
      "input", { name, type: "password", autocomplete: complete, maxlength: "128" },
    ));
    const error = make("p", { class: "error", role: "alert" });
    const answer = await ask(
      "Change your password",
      [
        make("p", { class: "hint" }, "You stay signed in here, and are signed out everywhere else."),
        // For the browser, which keeps passwords by name.
        make("input", { name: "username", autocomplete: "username", value: this.store.me.username, hidden: true }),
        password("old", "Password now", "current-password"),
        password("fresh", "New password", "new-password"),
        password("again", "New password once more", "new-password"),
        error,
      ],
      [["Change password", "change"], ["Cancel", ""]],
      async (form) => {
        const complaint = await this.#tryPassword(Object.fromEntries(new FormData(form)));
        say(error, complaint);
        return !complaint;
      },
    );
    if (answer) toast("Your password is changed.");
  }

  // Why it cannot be, or nothing where it is done.
  async #tryPassword({ old, fresh, again }) {
    if (!old) return "Please give the password that you have now.";
    if (fresh.length < SHORTEST) return `A password needs at least ${SHORTEST} characters.`;
    if (fresh !== again) return "The new password is not the same both times.";
    try {
      await this.api.changePassword(old, fresh);
      return "";
    } catch (problem) {
      if (problem instanceof Unreachable) return "The server cannot be reached. Try again in a moment.";
      if (problem.body.code === "bad_credentials") return "That is not the password you have now.";
      const first = Object.values(problem.body.errors ?? {})[0]?.[0];
      return first ?? `${problem.message}.`;
    }
  }

  // --- the way out

  async #signOut() {
    find("#me-menu").hidePopover();
    const { id } = this.store.me;
    if (this.columns.editor && !this.columns.editor.close()) return; // what is typed is sent first
    if (!await this.queue.sent(PATIENCE)) {
      const answer = await this.#askAboutPending();
      if (!answer) return;
      if (answer === "discard") this.queue.discard();
    }
    await this.api.signOut();
    dropDraft(id);
  }

  #askAboutPending() {
    const { pending } = this.queue;
    return ask(
      "Not everything has been sent",
      [make("p", {}, `${plural(pending, "change is", "changes are")} pending. Kept in this browser, they are sent when you sign in here again.`)],
      [["Stay signed in", ""], ["Keep them and sign out", "keep"], ["Discard them and sign out", "discard"]],
    );
  }
}
