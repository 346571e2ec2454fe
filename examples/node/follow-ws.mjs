// Keep a copy of your tasks, live, and miss nothing: a raw WebSocket (/api/v1/ws).
//
//   npm install && TASKS_PASSWORD=… node follow-ws.mjs http://localhost:5000 alice
//
// Type `print` to see the copy as JSON; Ctrl-C prints it once more and ends.
import WebSocket from "ws";
import { Copy, log } from "./copy.mjs";

const BRING_ANOTHER_TOKEN = 4401;
const copy = new Copy("/api/v1"); // list and socket speak the same dialect
copy.listenToUser();
await copy.signInPatiently();
await copy.list();

function take(message) {
  switch (message.type) {
    case "task_created":
    case "task_updated":
      return copy.apply(message.seq, message.data.id, message.data);
    case "task_deleted":
    case "task_removed": // gone from our sight
      return copy.apply(message.seq, message.data, null);
    case "resync":
      return copy.resync(message.reason);
    case "ready":
      return log(`live, ${message.replayed} events caught up`);
    case "error":
      return log("error:", message.message);
  }
}

function connect() {
  const socket = new WebSocket(copy.url.replace(/^http/, "ws") + "/api/v1/ws");
  let heard = Date.now();
  socket.on("open", () => {
    // The token goes into the first message, never into the URL.
    const where = { since: copy.seq, epoch: copy.epoch };
    socket.send(JSON.stringify({ type: "auth", token: copy.token, ...where }));
  });
  socket.on("message", (text) => {
    heard = Date.now();
    take(JSON.parse(text));
  });
  // Without a sign of life the other end is gone, whatever the network says.
  const heartbeat = setInterval(() => {
    if (Date.now() - heard > 60_000) socket.terminate();
    else if (socket.readyState === WebSocket.OPEN) socket.send('{"type":"ping"}');
  }, 20_000);
  socket.on("error", (error) => log(error.message));
  socket.on("close", async (code) => {
    clearInterval(heartbeat);
    log("connection lost:", code);
    await new Promise((done) => setTimeout(done, 1000));
    if (code === BRING_ANOTHER_TOKEN) await copy.signInPatiently();
    connect();
  });
}
connect();
