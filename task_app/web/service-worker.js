// Keeps the board's own files, so that the board opens without the network too. What it shows there
// is the page's business (`memory.js`): no answer of the API, no token is ever kept here.
//
// The server puts two lines above these: VERSION, and FILES (path -> digest). Files that are there
// are always asked for first, so nobody sees a board of yesterday.

const CACHE = `board-${VERSION}`;
const PATIENCE = 3000; // milliseconds for the network, where there is something to show without it

// Pages that were opened from here: all they load is from here too, of one version and at once.
const apart = new Set();

addEventListener("install", (event) => event.waitUntil(keep().then(() => skipWaiting())));
addEventListener("activate", (event) => event.waitUntil(begin()));
addEventListener("fetch", (event) => {
  const { request, clientId, resultingClientId } = event;
  const { origin, pathname } = new URL(request.url);
  const isOurs = origin === location.origin && Object.hasOwn(FILES, pathname);
  const isPage = request.mode === "navigate";
  if (request.method !== "GET" || !isOurs || isPage !== (pathname === "/")) return;
  event.respondWith(isPage ? open(request, resultingClientId) : load(request, clientId));
});

// All or nothing. The digests refuse what another process answers that is not of this version, as
// some do while an installation is upgraded; the browser tries again later then.
async function keep() {
  const cache = await caches.open(CACHE);
  await Promise.all(Object.entries(FILES).map(async ([path, integrity]) => {
    const headers = { Accept: path === "/" ? "text/html" : "*/*" };
    const answer = await fetch(path, { cache: "no-cache", headers, integrity });
    if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
    await cache.put(path, answer);
  }));
}

async function begin() {
  for (const name of await caches.keys()) if (name !== CACHE) await caches.delete(name);
  for (const page of await clients.matchAll({ includeUncontrolled: true })) {
    page.postMessage({ version: VERSION });
  }
}

async function open(request, id) {
  const page = await kept("/");
  const answer = await (page ? inTime(fromServer(request)) : fetch(request));
  if (answer) return answer;
  apart.add(id);
  return page;
}

async function load(request, id) {
  const found = () => kept(new URL(request.url).pathname);
  if (apart.has(id)) return await found() ?? fetch(request);
  return await fromServer(request) ?? await found() ?? Response.error();
}

async function kept(path) {
  const cache = await caches.open(CACHE);
  return cache.match(path, { ignoreVary: true });
}

// Nothing where it cannot be reached, or a gateway answers in its place.
async function fromServer(request) {
  try {
    const answer = await fetch(request);
    return answer.status < 500 ? answer : undefined;
  } catch {
    return undefined;
  }
}

function inTime(answer) {
  const late = new Promise((done) => { setTimeout(done, PATIENCE); });
  return Promise.race([answer, late]);
}
