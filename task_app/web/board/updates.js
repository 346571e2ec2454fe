// The worker that keeps the board's files for when there is no network (`service-worker.js`), and
// word of a new version to whoever has the page open.

import { toast } from "./dialogs.js";

const WORKER = "/service-worker.js";
const version = document.documentElement.dataset.version;

// The page's policy lets no text become a script but by this, which makes one address of them all.
const policy = window.trustedTypes?.createPolicy("worker", { createScriptURL: () => WORKER });

// Without workers (a page over plain http on a network is not "secure") the board wants a network
// to be opened, and is otherwise the same.
export function keepFiles(live) {
  const workers = navigator.serviceWorker;
  if (!workers) return;
  let told = version;
  workers.addEventListener("message", ({ data }) => {
    if (data.version === told) return;
    told = data.version;
    toast("There is a new version of the board.", { Reload: () => location.reload() }, 0);
  });
  const url = policy?.createScriptURL(WORKER) ?? WORKER;
  const registered = workers.register(url, { updateViaCache: "none" }).catch(() => null);
  // A server that is another now was away for a moment.
  live.addEventListener("state", async () => {
    if (live.state === "live") (await registered)?.update().catch(() => {});
  });
}
