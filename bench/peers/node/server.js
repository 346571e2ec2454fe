// The peer to beat: Express, Socket.IO, better-sqlite3 and jsonwebtoken, each used as well as its
// documentation and its measurements tell: WAL, prepared statements, the secret as a KeyObject,
// NODE_ENV=production, a deep backlog, raw WebSockets sent one frame built once.
//
// node server.js PORT DATABASE SECRET   (tables and users are bench/run.py's)
"use strict";
const { createSecretKey } = require("crypto");
const http = require("http");
const Database = require("better-sqlite3");
const express = require("express");
const jwt = require("jsonwebtoken");
const { Server } = require("socket.io");
const { WebSocketServer, WebSocket } = require("ws");

const [port, path, secret] = process.argv.slice(2);
const key = createSecretKey(Buffer.from(secret));
const EPOCH = "313c6ca0d5e5e571";
const CHANGES = ["title", "description", "status", "priority", "due_date", "user_id", "assigned_to"];
const PAGE = 50;

// --- data

const db = new Database(path);
// Kept for good, which db.pragma() does not: Node 24.19 ends with "Assertion failed: (env) != nullptr"
// when a statement of better-sqlite3 12.11 is collected, and one start in four did not survive it.
globalThis.pragmas = ["journal_mode = WAL", "synchronous = NORMAL"].map((text) => {
  const pragma = db.prepare(`PRAGMA ${text}`);
  pragma.reader ? pragma.all() : pragma.run();
  return pragma;
});
const columns =
  "id, title, description, status, priority, due_date, user_id, created_by, assigned_to, " +
  "created_at, updated_at, version";
const one = db.prepare(`SELECT ${columns} FROM tasks WHERE id = ?`);
const page = db.prepare(`SELECT ${columns} FROM tasks ORDER BY id LIMIT ?`);
const insert = db.prepare(
  `INSERT INTO tasks (title, description, status, priority, due_date, user_id, created_by,
     assigned_to, created_at, updated_at, version) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1)`,
);

const taskOf = (row) => ({
  id: row.id,
  title: row.title,
  description: row.description,
  done: row.status === "completed",
  status: row.status,
  priority: row.priority,
  due_date: row.due_date,
  user_id: row.user_id,
  created_by: row.created_by,
  assigned_to: row.assigned_to,
  created_at: row.created_at,
  updated_at: row.updated_at,
  version: row.version,
});

const STATUSES = ["todo", "in_progress", "completed"];
const PRIORITIES = ["low", "medium", "high"];

class Invalid extends Error {}

function createTask(actor, body) {
  const { title, description = null, status = "todo", priority = "medium" } = body ?? {};
  const { due_date = null, assigned_to = null } = body ?? {};
  if (typeof title !== "string" || title.length < 1 || title.length > 200) throw new Invalid("title");
  if (description !== null && (typeof description !== "string" || description.length > 10000))
    throw new Invalid("description");
  if (!STATUSES.includes(status)) throw new Invalid("status");
  if (!PRIORITIES.includes(priority)) throw new Invalid("priority");
  const at = new Date().toISOString().replace("Z", "000Z");
  const { lastInsertRowid } = insert.run(
    title, description, status, priority, due_date, actor, actor, assigned_to, at, at,
  );
  const task = taskOf({
    id: Number(lastInsertRowid), title, description, status, priority, due_date, user_id: actor,
    created_by: actor, assigned_to, created_at: at, updated_at: at, version: 1,
  });
  const event = {
    ...task, task: task.id, type: "task_created", seq: task.id, epoch: EPOCH, actor_id: actor,
    changes: CHANGES, at,
  };
  return { task, event };
}

const actorOf = (token) => Number(jwt.verify(token, key, { algorithms: ["HS256"] }).sub);

// --- REST

const app = express();
app.disable("x-powered-by");
app.use(express.json());

app.get("/health", (request, response) => response.json({ status: "ok" }));

app.use((request, response, next) => {
  const [scheme, token] = (request.headers.authorization ?? "").split(" ");
  try {
    if (scheme !== "Bearer") throw new Error("no token");
    request.actor = actorOf(token);
  } catch {
    return response.status(401).json({ error: "unauthorized" });
  }
  next();
});

app.get("/tasks/:id", (request, response) => {
  const row = one.get(Number(request.params.id));
  if (!row) return response.status(404).json({ error: "task_not_found" });
  response.json(taskOf(row));
});

app.get("/tasks", (request, response) => {
  const limit = Math.min(Math.max(Number(request.query.limit) || PAGE, 1), 1000);
  response.json(page.all(limit).map(taskOf));
});

app.post("/tasks", (request, response) => {
  const { task, event } = createTask(request.actor, request.body);
  publish(event);
  response.status(201).json(task);
});

app.use((error, request, response, next) => {
  response.status(error instanceof Invalid ? 400 : 500).json({ error: error.message });
});

// --- Socket.IO

const server = http.createServer(app);
server.keepAliveTimeout = 20000;
const io = new Server(server, { destroyUpgrade: false });

// Socket.IO's page on memory: the first HTTP request need not be kept (1 KB a client here).
io.engine.on("connection", (connection) => {
  connection.request = null;
});

io.use((socket, next) => {
  const token = socket.handshake.auth.token;
  try {
    if (token !== undefined) socket.data.actor = actorOf(token);
    next();
  } catch {
    next(new Error("unauthorized"));
  }
});

io.on("connection", (socket) => {
  if (socket.data.actor !== undefined) socket.join(["all", `user:${socket.data.actor}`]);
  socket.on("create_task", (payload, acknowledge) => {
    try {
      const { token, ...body } = payload;
      const actor = token === undefined ? socket.data.actor : actorOf(token);
      if (actor === undefined) throw new Error("unauthorized");
      const { event } = createTask(actor, body);
      publish(event);
      acknowledge?.(event);
    } catch (error) {
      acknowledge?.({ error: error.message });
    }
  });
});

// --- raw WebSockets

const raw = new WebSocketServer({ noServer: true });
const listeners = new Set();

server.on("upgrade", (request, socket, head) => {
  if (request.url !== "/ws") return;
  raw.handleUpgrade(request, socket, head, (client) => {
    client.on("message", (data) => {
      try {
        actorOf(JSON.parse(data).token);
        listeners.add(client);
        client.send('{"type":"ready"}');
      } catch {
        client.close(4401);
      }
    });
    client.on("close", () => listeners.delete(client));
    client.on("error", () => client.terminate());
  });
});

// `Sender.frame` builds the frame once; each socket then only has to write it.
function publish(event) {
  io.to("all").emit("task_created", event);
  if (!listeners.size) return;
  const { seq, epoch, type, at, changes, actor_id, task, ...payload } = event;
  const frame = Buffer.concat(
    WebSocket.Sender.frame(Buffer.from(JSON.stringify({ type, payload, seq, epoch })), {
      fin: true, opcode: 1, mask: false, readOnly: true, rsv1: false,
    }),
  );
  for (const client of listeners) client._socket.write(frame);
}

server.listen({ port: Number(port), host: "127.0.0.1", backlog: 4096 }, () => console.log("ready"));
