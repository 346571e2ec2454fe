// Keep a copy of your tasks, live, and miss nothing: Socket.IO.
//
//   npm install && TASKS_PASSWORD=… node follow.mjs http://localhost:5000 alice
//
// Type `print` to see the copy as JSON; Ctrl-C prints it once more and ends.
import { io } from "socket.io-client";
import { Copy, log } from "./copy.mjs";

const copy = new Copy();
copy.listenToUser();
await copy.signInPatiently();
await copy.list();

const socket = io(copy.url, {
  transports: ["websocket"],
  reconnectionDelayMax: 2000,
  // Asked at every connection: after a break we go on from where we stand.
  auth: (tell) => tell({ token: copy.token, since: copy.seq, epoch: copy.epoch }),
});

for (const name of ["task_created", "task_updated", "task_status_changed"]) {
  socket.on(name, (event) => {
    const { seq, epoch, type, task, actor_id, changes, at, request_id, ...snapshot } = event;
    copy.apply(seq, task, snapshot);
  });
}
// Gone, or gone from our sight.
for (const name of ["task_deleted", "task_removed"]) {
  socket.on(name, (event) => copy.apply(event.seq, event.task, null));
}
socket.on("resync", ({ reason }) => copy.resync(reason));
socket.on("ready", ({ replayed }) => log(`live, ${replayed} events caught up`));

// socket.io-client comes back by itself, except when the server refuses it or shows it the door:
// then it wants a new token.
async function startAnew(why) {
  log("not connected:", why);
  if (socket.active) return;
  await new Promise((done) => setTimeout(done, 1000));
  await copy.signInPatiently();
  socket.connect();
}
socket.on("connect_error", (error) => startAnew(error.message));
socket.on("disconnect", (reason) => startAnew(reason));
