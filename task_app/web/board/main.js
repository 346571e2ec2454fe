// The board: puts the parts together.

import { Account } from "./account.js";
import { Activity } from "./activity.js";
import { Admin } from "./admin.js";
import { Api, Refused, remembered } from "./api.js";
import { Bell } from "./bell.js";
import { Columns } from "./columns.js";
import { decide, toast } from "./dialogs.js";
import { find, say } from "./dom.js";
import { savedDraft } from "./editor.js";
import { Filters } from "./filters.js";
import { plural, when } from "./format.js";
import { listen } from "./keys.js";
import { Live } from "./live.js";
import { Memory } from "./memory.js";
import { People } from "./people.js";
import { Queue } from "./queue.js";
import { SignIn } from "./signin.js";
import { Store } from "./store.js";
import { keepFiles } from "./updates.js";

const STATE_WORDS = { live: "Live", "catching-up": "Catching up", offline: "Offline" };
const RETRY = 2000; // milliseconds

const api = new Api();
const store = new Store();
const queue = new Queue(api, store);
const live = new Live(api, store);
const filters = new Filters(store);
const columns = new Columns({ store, queue, filters, toast, decide: decideOn });
const people = new People({ api, store, live });
const bell = new Bell({ api, store, live, open });
const activity = new Activity({ api, store, live, open });
const admin = new Admin({ api, store, toast, live });
const account = new Account({ api, store, queue, columns });
const memory = new Memory(store);
const signIn = new SignIn(api);

function decideOn(op) {
  decide(op, { store, queue });
}

// Show a task, wherever it is spoken of.
function open(id) {
  const task = queue.view().get(id);
  if (!task) {
    toast("This task is gone, or you may not see it any more.");
    return;
  }
  view("board");
  if (!filters.matches(task)) filters.clear();
  columns.render();
  columns.focus(id);
}

function view(name) {
  const url = new URL(location.href);
  if (name === "admin") url.searchParams.set("view", "admin");
  else url.searchParams.delete("view");
  history.replaceState(null, "", url);
  const isAdmin = name === "admin" && store.me?.role === "admin";
  find("#columns").hidden = isAdmin;
  find("#filters").hidden = isAdmin;
  find("#admin").hidden = !isAdmin;
  document.documentElement.dataset.view = isAdmin ? "admin" : "board";
  admin.show(isAdmin);
  for (const link of document.querySelectorAll("#views a")) {
    if ((link.dataset.view === "admin") === isAdmin) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

function showState() {
  const { pending } = queue;
  const { keptAt } = store;
  const words = [STATE_WORDS[live.state]];
  if (live.state === "offline" && keptAt) words.push(`as of ${when(keptAt)}`);
  if (pending) words.push(`${plural(pending, "change", "changes")} pending`);
  find("#state").dataset.state = live.state;
  say(find("#state-text"), words.join(" · "));
}

function begin(person) {
  store.me = person;
  account.show();
  find("#app").hidden = false;
  document.documentElement.dataset.session = "yes";
  filters.load();
  view(new URLSearchParams(location.search).get("view") ?? "board");
  queue.open(store.me.id);
  live.start();
  people.load().catch(() => {});
}

// What was being typed when the page went is there again.
function resumeDraft() {
  const draft = store.me && savedDraft(store.me.id);
  const task = draft && queue.view().get(draft.id);
  if (task && !columns.editor) columns.edit(task, draft);
}

function end() {
  live.stop();
  queue.online = false;
  columns.abandon();
  queue.close();
  store.clear();
  for (const part of [account, admin, bell, people]) part.clear();
  memory.forget();
  for (const pop of document.querySelectorAll(":popover-open")) pop.hidePopover();
}

// A session that was left while the server could not be reached is ended when it can be.
async function finish() {
  let told = false;
  while (remembered() === "left") {
    try {
      await api.finish();
    } catch {
      if (!told) toast("You are signed out here. The server is told as soon as it can be reached.");
      told = true;
      await untilLater();
    }
  }
}

function untilLater() {
  return new Promise((done) => {
    setTimeout(done, RETRY);
    addEventListener("online", done, { once: true });
  });
}

function wire() {
  live.addEventListener("state", () => {
    showState();
    queue.online = live.state === "live";
    if (queue.online) {
      queue.send();
      queue.undecided().forEach(decideOn);
      resumeDraft();
    }
  });
  queue.addEventListener("change", showState);
  store.addEventListener("begin", showState);
  queue.addEventListener("decide", ({ detail }) => decideOn(detail));
  store.addEventListener("event", ({ detail }) => {
    if (detail.type === "announcement" && typeof detail.data?.text === "string") {
      toast(`${store.name(detail.actor_id)}: ${detail.data.text}`, {}, 15_000);
    }
  });
  api.addEventListener("token", () => {
    if (!store.me) return;
    if (api.user.id !== store.me.id) { // somebody else has signed in, in another tab
      end();
      begin(api.user);
      return;
    }
    // The role may be another than when this person signed in.
    store.me = api.user;
    account.show();
    if (store.me.role !== "admin") view("board");
  });
  api.addEventListener("signed-out", async ({ detail: { wanted } }) => {
    if (!store.me) return;
    end();
    finish();
    await signIn.open(wanted ? "" : "You were signed out. Sign in, and everything is as you left it.");
    begin(api.user);
  });
  find("#new-task").addEventListener("click", () => columns.compose());
  for (const link of document.querySelectorAll("#views a")) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      view(link.dataset.view);
    });
  }
  addEventListener("pagehide", () => queue.leave());
  listen(columns, filters);
  keepFiles(live);
}

// A session that is there is taken up again, with what was last known until the server has told
// what is. Where nothing is known and the server cannot be reached, it is tried again.
async function start() {
  wire();
  showState();
  finish();
  while (remembered() === "yes") {
    const last = await memory.read();
    if (last) {
      store.restore(last);
      begin(last.me);
      resumeDraft();
      return;
    }
    try {
      await api.renew();
      find("#welcome").hidden = true;
      begin(api.user);
      return;
    } catch (error) {
      if (error instanceof Refused && error.status === 401) break;
      live.state = "offline";
      showState();
      await untilLater();
    }
  }
  await signIn.open();
  begin(api.user);
}

start();
