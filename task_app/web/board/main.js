// The board: puts the parts together.

import { Activity } from "./activity.js";
import { Admin } from "./admin.js";
import { Api, Refused } from "./api.js";
import { Bell } from "./bell.js";
import { Columns } from "./columns.js";
import { decide, ask, toast } from "./dialogs.js";
import { avatar, find, make, say } from "./dom.js";
import { savedDraft } from "./editor.js";
import { Filters } from "./filters.js";
import { plural } from "./format.js";
import { listen } from "./keys.js";
import { Live } from "./live.js";
import { People } from "./people.js";
import { Queue } from "./queue.js";
import { SignIn } from "./signin.js";
import { Store } from "./store.js";

const STATE_WORDS = { live: "Live", "catching-up": "Catching up", offline: "Offline" };

const api = new Api();
const store = new Store();
const queue = new Queue(api, store);
const live = new Live(api, store);
const filters = new Filters(store);
const columns = new Columns({ store, queue, filters, toast, decide: decideOn });
const people = new People({ api, store, live });
const bell = new Bell({ api, store, live, open });
const activity = new Activity({ api, store, open });
const admin = new Admin({ api, store, toast });
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
  admin.show(isAdmin);
  for (const link of document.querySelectorAll("#views a")) {
    if ((link.dataset.view === "admin") === isAdmin) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

function showState() {
  const { pending } = queue;
  const words = STATE_WORDS[live.state];
  find("#state").dataset.state = live.state;
  say(find("#state-text"), pending ? `${words} · ${plural(pending, "change", "changes")} pending` : words);
}

function showMe() {
  const { me } = store;
  avatar(me.id, me.username, find("#me")).classList.add("me");
  say(find("#me-name"), me.username);
  say(find("#me-role"), me.role === "admin" ? "Administrator" : "Member");
  find("#views").hidden = me.role !== "admin";
}

function begin() {
  store.me = api.user;
  showMe();
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
  people.stop();
  queue.online = false;
  columns.abandon();
  queue.close();
  bell.clear();
  admin.show(false);
  store.clear();
  for (const pop of document.querySelectorAll(":popover-open")) pop.hidePopover();
}

async function signOut() {
  if (queue.pending) {
    const answer = await ask(
      "Not everything has been sent",
      [make("p", {}, `${plural(queue.pending, "change is", "changes are")} pending. They stay in this browser and are sent when you sign in here again.`)],
      [["Stay", ""], ["Sign out", "out"]],
    );
    if (answer !== "out") return;
  }
  try {
    await api.signOut();
  } catch (error) {
    if (!(error instanceof Refused && error.status === 401)) {
      toast("Signing out needs the server, which cannot be reached.");
    }
  }
}

function theme() {
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
  queue.addEventListener("decide", ({ detail }) => decideOn(detail));
  store.addEventListener("event", ({ detail }) => {
    if (detail.type === "announcement" && typeof detail.data?.text === "string") {
      toast(`${store.name(detail.actor_id)}: ${detail.data.text}`, {}, 15_000);
    }
  });
  api.addEventListener("token", () => {
    // The role may be another than when this person signed in.
    if (store.me && api.user.id === store.me.id) {
      store.me = api.user;
      showMe();
      if (store.me.role !== "admin") view("board");
    }
  });
  api.addEventListener("signed-out", async () => {
    if (!store.me) return;
    end();
    await signIn.open();
    begin();
  });
  find("#sign-out").addEventListener("click", signOut);
  find("#new-task").addEventListener("click", () => columns.compose());
  for (const link of document.querySelectorAll("#views a")) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      view(link.dataset.view);
    });
  }
  addEventListener("pagehide", () => queue.leave());
  listen(columns, filters);
  theme();
}

// A session that is there is taken up again; while the server cannot be reached, it is tried again.
async function start() {
  wire();
  showState();
  while (document.documentElement.dataset.session === "yes") {
    try {
      await api.renew();
      find("#welcome").hidden = true;
      begin();
      return;
    } catch (error) {
      if (error instanceof Refused && error.status === 401) break;
      live.state = "offline";
      showState();
      await new Promise((done) => {
        setTimeout(done, 2000);
        addEventListener("online", done, { once: true });
      });
    }
  }
  await signIn.open();
  begin();
}

start();
