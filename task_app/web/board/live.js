// The live feed: a raw WebSocket that begins where the list ended, and where it broke off.

const PATH = "/ws/native";
const PAGE = 1000;
const MOST = 10_000; // tasks on a board; whoever sees more than these searches over the API
const SLOWEST = 5000; // milliseconds between two tries
const PING = 15_000;
const PATIENCE = 8000;
const TOKEN_ENDED = 4401;

// Events: "state" when `state` (offline, catching-up, live) is another; "people" ({here, count}) when
// others have come or gone.
export class Live extends EventTarget {
  state = "catching-up";
  #api;
  #store;
  #socket = null;
  #running = false;
  #tries = 0;
  #timer = 0;
  #ping = 0;
  #silence = 0;

  constructor(api, store) {
    super();
    this.#api = api;
    this.#store = store;
    addEventListener("online", () => this.#hurry());
    addEventListener("offline", () => this.#drop());
    document.addEventListener("visibilitychange", () => { if (!document.hidden) this.#hurry(); });
    api.addEventListener("token", () => {
      if (this.state === "live") this.#tell({ type: "authenticate", token: api.token });
    });
  }

  start() {
    if (this.#running) return;
    this.#running = true;
    this.#connect();
  }

  stop() {
    this.#running = false;
    clearTimeout(this.#timer);
    this.#drop();
    this.#become("catching-up"); // as whoever begins next does
  }

  async #connect() {
    clearTimeout(this.#timer);
    if (!this.#running || this.#socket) return;
    const socket = this.#socket = {}; // nobody else connects meanwhile
    try {
      if (!this.#api.token) await this.#api.renew();
      if (!this.#store.epoch) await this.#list();
      if (this.#socket === socket && this.#running) this.#open();
    } catch {
      if (this.#socket === socket) this.#ended();
    }
  }

  // Every page. The first tells the event the copy is up to date with.
  async #list() {
    const tasks = [];
    let where = null;
    let path = `/tasks?sort=-id&limit=${PAGE}`;
    while (path && tasks.length < MOST) {
      const { body, headers } = await this.#api.request("GET", path);
      this.#become("catching-up"); // and not sooner: it is offline until somebody answers
      where ??= headers;
      tasks.push(...body);
      path = headers.get("Link")?.match(/<(.+)>; rel="next"/)?.[1];
    }
    const [seq, epoch] = [where.get("X-Event-Seq"), where.get("X-Event-Epoch")];
    this.#store.begin(tasks, Number(seq), epoch, Boolean(path));
  }

  #open() {
    const socket = this.#socket = new WebSocket(location.origin.replace(/^http/, "ws") + PATH);
    const mine = () => this.#socket === socket;
    socket.onopen = () => {
      if (!mine()) return;
      this.#become("catching-up");
      const { seq: since, epoch } = this.#store;
      this.#tell({ type: "auth", token: this.#api.token, since, epoch, people: true });
      this.#heard();
    };
    socket.onmessage = ({ data }) => { if (mine()) this.#take(JSON.parse(data)); };
    socket.onclose = ({ code }) => { if (mine()) this.#ended(code); };
    this.#silence = setTimeout(() => { if (mine()) this.#drop(); }, PATIENCE);
  }

  #take(message) {
    this.#heard();
    // Only events carry a time: a broadcast may bear any name, that of a notice too.
    if ("at" in message) {
      this.#store.apply(message);
    } else if (message.type === "people") {
      this.dispatchEvent(new CustomEvent("people", { detail: message }));
    } else if (message.type === "ready") {
      this.#store.seq = Math.max(this.#store.seq, message.seq);
      this.#tries = 0;
      this.#become("live");
    } else if (message.type === "resync") {
      // Another role: what one may do is another too, and a new token's answer says so.
      if (message.reason === "sight_changed") this.#api.renew().catch(() => {});
      this.#store.epoch = "";
      this.#drop(true);
    }
  }

  // A sign of life: the next is asked for after a while.
  #heard() {
    clearTimeout(this.#ping);
    clearTimeout(this.#silence);
    this.#ping = setTimeout(() => {
      this.#tell({ type: "ping" });
      this.#silence = setTimeout(() => this.#drop(), PATIENCE);
    }, PING);
  }

  #tell(message) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  #drop(atOnce = false) {
    const socket = this.#socket;
    this.#ended(0, atOnce);
    socket?.close?.();
  }

  #ended(code = 0, atOnce = false) {
    this.#socket = null;
    clearTimeout(this.#ping);
    clearTimeout(this.#silence);
    if (code === TOKEN_ENDED) this.#api.token = null;
    if (!this.#running) return;
    this.#become(atOnce || code === TOKEN_ENDED ? "catching-up" : "offline");
    const wait = atOnce ? 0 : Math.min(250 * 2 ** this.#tries, SLOWEST);
    this.#tries += 1;
    this.#timer = setTimeout(() => this.#connect(), wait * (0.75 + Math.random() / 2));
  }

  #hurry() {
    this.#tries = 0;
    if (this.#running && !this.#socket) this.#connect();
  }

  #become(state) {
    if (state === this.state) return;
    this.state = state;
    this.dispatchEvent(new Event("state"));
  }
}
