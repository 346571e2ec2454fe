// One client by npm's `socket.io-client` or `ws`, driven from outside: a line of JSON in is what
// to do, a line of JSON out is what came.  Arguments: transport, URL, path or "", token, position.
import { createInterface } from "node:readline";
import { createRequire } from "node:module";

const [transport, url, path, token, position] = process.argv.slice(2);
const require = createRequire(process.env.PEERS + "/");
const where = JSON.parse(position);
const tell = (name, body) => process.stdout.write(JSON.stringify({ name, body }) + "\n");

function socketIo() {
  const { io } = require("socket.io-client");
  const transports = path ? [path] : ["websocket"];
  const socket = io(url, { auth: { token, ...where }, transports, reconnection: false });
  socket.onAny((name, body) => tell(name, body));
  socket.on("connect_error", (error) => tell("connect_error", error.data));
  socket.on("disconnect", (reason) => tell("closed", reason));
  return {
    send: ({ name, data }) => socket.emit(name, data, (answer) => tell("ack", answer)),
    cut: () => socket.io.engine.close(),
  };
}

function raw() {
  const WebSocket = require("ws");
  const headers = where.header ? { Authorization: `Bearer ${token}` } : {};
  const socket = new WebSocket(url.replace("http", "ws") + path, { headers });
  socket.on("open", () => {
    if (!where.header) socket.send(JSON.stringify({ type: "auth", token, ...where }));
  });
  socket.on("message", (data) => {
    const message = JSON.parse(data);
    tell(message.type, message);
  });
  socket.on("pong", (data) => tell("protocol pong", data.toString()));
  socket.on("close", (code) => tell("closed", code));
  socket.on("error", (error) => tell("failed", error.message));
  return {
    send: ({ name, data }) =>
      name === "protocol ping" ? socket.ping(data) : socket.send(JSON.stringify({ type: name, data })),
    cut: () => socket.terminate(),
  };
}

const client = transport === "socketio" ? socketIo() : raw();
createInterface({ input: process.stdin })
  .on("line", (line) => {
    const order = JSON.parse(line);
    if (order.name === "cut") client.cut();
    else client.send(order);
  })
  .on("close", () => process.exit(0));
