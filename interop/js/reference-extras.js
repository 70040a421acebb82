// The namespaces of `interop/src/extras.rs` written with the official server: keep them alike.
"use strict";

// Handlers that answer failures, as `ack_errors` does on our side.
function failing(socket, event, handler) {
  socket.on(event, (...args) => {
    try {
      handler(...args);
    } catch (error) {
      args.at(-1)({ error: error.message });
    }
  });
}

// Refuses an event, and says so.
function refuse(socket, event, message) {
  socket.use((packet, next) => {
    if (packet[0] !== event) return next();
    if (typeof packet.at(-1) === "function") packet.at(-1)({ error: message });
    next(new Error(message));
  });
}

const list = (map, key) => {
  if (!map.has(key)) map.set(key, []);
  return map.get(key);
};

function extras(io) {
  const nsp = io.of("/extras");
  const rooms = new Map();
  const kicked = new Map();
  nsp.adapter.on("create-room", (room) => list(rooms, room).push("create"));
  nsp.adapter.on("join-room", (room, id) => list(rooms, room).push(`join ${id}`));
  nsp.adapter.on("leave-room", (room, id) => list(rooms, room).push(`leave ${id}`));
  nsp.adapter.on("delete-room", (room) => list(rooms, room).push("delete"));

  nsp.on("connection", (socket) => {
    socket.data = { count: 0, incoming: [], outgoing: [] };
    // The client is told that it broke a rule by the acknowledgement; nobody else listens.
    socket.on("error", () => {});
    refuse(socket, "forbidden", "not allowed");
    socket.onAny((event) => {
      if (event !== "forbidden") socket.data.incoming.push(event);
    });
    socket.onAnyOutgoing((event) => socket.data.outgoing.push(event));

    // Events and data.
    socket.on("move", (x, y, ack) => {
      socket.broadcast.emit("moved", { x, y });
      ack(x + y);
    });
    socket.on("count", (ack) => ack(++socket.data.count));
    socket.on("count-of", async (id, ack) => {
      const [other] = await nsp.in(id).fetchSockets();
      ack(other ? other.data.count : null);
    });
    socket.on("protocol", (ack) => ack(socket.conn.protocol));

    // Failures and traffic.
    socket.on("forbid", (event, ack) => {
      refuse(socket, event, "not allowed here");
      ack("forbidden");
    });
    failing(socket, "fails", () => {
      throw new Error("fails on purpose");
    });
    socket.on("traffic", (ack) => ack({ incoming: socket.data.incoming, outgoing: socket.data.outgoing }));
    socket.on("greet", (event, ack) => {
      socket.emit(event);
      nsp.emit(`all-${event}`);
      ack("greeted");
    });

    // Rooms.
    const mine = () => [...socket.rooms].filter((room) => room !== socket.id).sort();
    socket.on("join", (names, ack) => {
      socket.join(names);
      ack(mine());
    });
    socket.on("leave", (names, ack) => {
      for (const name of names) socket.leave(name);
      ack(mine());
    });
    socket.on("to", (names, except, value, ack) => {
      socket.to(names).except(except).emit("said", value);
      ack("sent");
    });
    socket.on("gather", (room, names, ack) => {
      nsp.in(room).socketsJoin(names);
      ack("done");
    });
    socket.on("scatter", (room, names, ack) => {
      nsp.in(room).socketsLeave(names);
      ack("done");
    });
    socket.on("survey", (room, ms, ack) => {
      nsp.to(room).timeout(ms).emit("question", (err, answers) => {
        // Who was asked is known to us alone: those who are there.
        const silent = (nsp.adapter.rooms.get(room)?.size ?? 0) - answers.length;
        ack({ answers: answers.toSorted(), silent });
      });
    });
    socket.on("room-log", (room, ack) => ack(rooms.get(room) ?? []));

    // Leaving.
    socket.on("dismiss", (room, close, ack) => {
      nsp.in(room).disconnectSockets(close);
      ack("done");
    });
    socket.on("kick", (id, words, ack) => {
      kicked.set(id, words);
      nsp.sockets.get(id)?.disconnect();
      ack("done");
    });
    socket.on("kicked", (id, ack) => ack(kicked.get(id) ?? null));

    // Volume.
    socket.on("volatile", (room, count, ack) => {
      for (let i = 0; i < count; i++) nsp.to(room).volatile.emit("tick", i);
      ack(count);
    });
    socket.on("flood", (count, size, ack) => {
      const text = "x".repeat(size);
      for (let i = 0; i < count; i++) socket.emit("tick", i, text);
      ack(count);
    });
  });

  // Here handlers run at the same time in any case; `/in-turn` of ours is not for this program.
  io.of("/at-once").on("connection", (socket) => {
    let here = 0;
    const waiting = new Set();
    socket.on("meet", (count, ack) => {
      here += 1;
      const one = { count, ack, timer: null };
      waiting.add(one);
      one.timer = setTimeout(() => {
        waiting.delete(one);
        here -= 1;
        ack(false);
      }, 300);
      for (const other of waiting) {
        if (here < other.count) continue;
        clearTimeout(other.timer);
        waiting.delete(other);
        other.ack(true);
      }
    });
  });
}

module.exports = { extras };
