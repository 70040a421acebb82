// The yardstick: the application of `interop/src/app.rs` written with the official server.
//
// Every test of this folder and every raw case of `interop/src/raw/` passes against this program, so what they
// expect is what the reference does. Keep the two applications the same.
//
//   SIO_CONFIG   JSON object with the options that the tests vary (see CONFIG)
//   stdout       "listening on http://127.0.0.1:PORT", then "control 127.0.0.1:PORT"
//   stdin        the program ends when it is closed, so it cannot outlive the tests
"use strict";

const http = require("node:http");
const net = require("node:net");
const { Server } = require("socket.io");
const { extras } = require("./reference-extras.js");

const CONFIG = {
  pingInterval: 25000,
  pingTimeout: 20000,
  upgradeTimeout: 10000,
  connectTimeout: 45000,
  maxHttpBufferSize: 1e6,
  corsOrigin: null,
  recovery: false,
  allowEIO3: false,
  ...JSON.parse(process.env.SIO_CONFIG || "{}"),
};

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// What the server saw of each socket, by socket id. The tests read it with the event `observed`.
class Recorder {
  constructor() {
    this.sockets = new Map();
  }
  of(id) {
    if (!this.sockets.has(id)) this.sockets.set(id, { connected: false, any: [], reason: null });
    return this.sockets.get(id);
  }
  watch(socket) {
    const record = this.of(socket.id);
    record.connected = true;
    socket.conn.once("upgrade", (transport) => (record.upgraded = transport.name));
    socket.onAny((event) => record.any.push(String(event)));
    socket.on("disconnect", (reason) => {
      record.connected = false;
      record.reason = reason;
    });
  }
  counts() {
    const all = [...this.sockets.values()];
    return { seen: all.length, connected: all.filter((r) => r.connected).length };
  }
}

function application(io) {
  const recorder = new Recorder();

  io.on("connection", (socket) => {
    recorder.watch(socket);

    // Echoes.
    socket.on("echo", (...args) => {
      if (typeof args.at(-1) === "function") args.pop();
      socket.emit("echo", ...args);
    });
    socket.on("echo-ack", (...args) => {
      const ack = args.pop();
      if (typeof ack === "function") ack(...args);
    });
    socket.on("typed", ({ name, count, tags, note, blob, inner }, ack) => {
      ack({ name, count: count + 1, tags, note: note ?? null, blob, inner: { blobs: inner.blobs.toReversed() } });
    });

    // Acknowledgements, client to server.
    socket.on("sum", (a, b, ack) => ack(a + b));
    socket.on("pair", (value, ack) => ack(value, "second"));
    socket.on("nothing", (ack) => ack());
    socket.on("twice", (value, ack) => {
      ack(value);
      ack("again");
    });
    socket.on("fail", () => {});

    // Acknowledgements, server to client.
    socket.on("server-ask", (value, ms, ack) => {
      socket.timeout(ms).emit("question", value, (err, answer) => ack(err ? { error: "timeout" } : { answer }));
    });
    socket.on("server-ask-binary", (blob, ack) => {
      socket.timeout(2000).emit("question", blob, (err, answer) => ack(err ? null : answer));
    });

    // Rooms and broadcast.
    socket.on("join", (room, ack) => {
      socket.join(room);
      ack("joined");
    });
    socket.on("leave", (room, ack) => {
      socket.leave(room);
      ack("left");
    });
    socket.on("rooms", (ack) => ack([...socket.rooms].sort()));
    socket.on("to-room", (room, event, value, ack) => {
      socket.to(room).emit(event, value);
      ack("sent");
    });
    socket.on("to-room-binary", (room, event, blob, ack) => {
      socket.to(room).emit(event, { blob });
      ack("sent");
    });
    socket.on("in-room", (room, event, value, ack) => {
      io.to(room).emit(event, value);
      ack("sent");
    });
    socket.on("in-rooms", (rooms, event, value, ack) => {
      io.to(rooms).emit(event, value);
      ack("sent");
    });
    socket.on("except-room", (room, except, event, value, ack) => {
      io.to(room).except(except).emit(event, value);
      ack("sent");
    });
    socket.on("broadcast", (event, value, ack) => {
      socket.broadcast.emit(event, value);
      ack("sent");
    });
    socket.on("all", (event, value, ack) => {
      io.emit(event, value);
      ack("sent");
    });
    socket.on("ask-room", (room, value, ms, ack) => {
      io.to(room).timeout(ms).emit("question", value, (err, answers) => {
        const list = err ? err.responses ?? answers : answers;
        ack({ answers: list.toSorted(), complete: !err });
      });
    });

    // Volume and order.
    socket.on("burst", (count, ack) => {
      for (let i = 0; i < count; i++) socket.emit("tick", i);
      ack(count);
    });
    socket.on("big", (size, ack) => ack("x".repeat(size)));

    // Leaving.
    socket.on("bye", () => socket.disconnect());
    socket.on("bye-all", () => socket.disconnect(true));

    // What the server saw.
    socket.on("observed", (id, ack) => {
      const { connected, any, reason } = recorder.of(id);
      ack({ connected, any, reason });
    });
    socket.on("conn", (ack) => {
      const { upgraded = null } = recorder.of(socket.id);
      ack({ transport: socket.conn.transport.name, protocol: socket.conn.protocol, upgraded });
    });
    socket.on("counts", (ack) => ack(recorder.counts()));
  });

  // Joins a room and says hello by itself.
  io.of("/news").on("connection", (socket) => {
    recorder.watch(socket);
    socket.join("news");
    socket.emit("welcome", socket.id);
    socket.on("publish", (value, ack) => {
      io.of("/news").to("news").emit("published", value);
      ack("sent");
    });
    socket.on("bye", () => socket.disconnect());
    socket.on("echo-ack", (value, ack) => ack(value));
  });

  // Accepts one token, refuses all others with data.
  io.of("/auth").use((socket, next) => {
    const { token, name } = socket.handshake.auth;
    if (token === "secret") return next();
    const error = new Error("not authorized");
    error.data = { code: 401, token: token ?? null, name: name ?? null };
    next(error);
  });
  io.of("/auth").on("connection", (socket) => {
    recorder.watch(socket);
    socket.on("whoami", (ack) => ack(socket.handshake.auth.name));
  });

  // Takes its time to accept.
  io.of("/slow").use(async (socket, next) => {
    await sleep(400);
    next();
  });
  io.of("/slow").on("connection", (socket) => {
    recorder.watch(socket);
    socket.on("echo-ack", (value, ack) => ack(value));
  });

  // A name that is not ASCII.
  const numbered = io.of(/^\/dyn-\d+$/);
  numbered.on("connection", (socket) => {
    socket.on("echo-ack", (value, ack) => ack(value));
    socket.on("where", (ack) => ack(socket.nsp.name));
    socket.on("tell-all", (value, ack) => {
      numbered.emit("told", value);
      ack("sent");
    });
    socket.on("join", (room, ack) => {
      socket.join(room);
      ack("joined");
    });
    socket.on("tell-room", (room, value, ack) => {
      numbered.to(room).emit("told", value);
      ack("sent");
    });
    socket.on("tell-others", (room, value, ack) => {
      numbered.except(room).emit("told", value);
      ack("sent");
    });
  });
  io.of(async (name, auth, next) => {
    await sleep(50);
    next(null, name.startsWith("/ask-") && auth.token === "secret");
  }).on("connection", (socket) => {
    socket.on("where", (ack) => ack(`asked for ${socket.nsp.name}`));
  });

  io.of("/größe-中").on("connection", (socket) => {
    recorder.watch(socket);
    socket.on("echo-ack", (value, ack) => ack(value));
  });

  extras(io);
}

let running = null;

async function start(port) {
  const server = http.createServer((req, res) => res.writeHead(404).end());
  const io = new Server(server, {
    pingInterval: CONFIG.pingInterval,
    pingTimeout: CONFIG.pingTimeout,
    upgradeTimeout: CONFIG.upgradeTimeout,
    connectTimeout: CONFIG.connectTimeout,
    maxHttpBufferSize: CONFIG.maxHttpBufferSize,
    serveClient: false,
    ...(CONFIG.recovery ? { connectionStateRecovery: {} } : {}),
    allowEIO3: CONFIG.allowEIO3,
    ...(CONFIG.msgpack ? { parser: require("socket.io-msgpack-parser") } : {}),
    ...(CONFIG.corsOrigin ? { cors: { origin: CONFIG.corsOrigin, credentials: true } } : {}),
  });
  application(io);
  await new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", resolve);
  });
  running = { io, server, port: server.address().port };
}

async function stop() {
  const { io, server } = running;
  const closed = new Promise((resolve) => server.once("close", resolve));
  io.close();
  server.closeAllConnections();
  await closed;
}

async function main() {
  await start(0);
  const control = net.createServer((conn) => {
    let text = "";
    conn.on("error", () => {});
    conn.on("data", async (chunk) => {
      text += chunk;
      if (!text.includes("\n")) return;
      if (text.trim() === "stop") await stop();
      else if (text.trim() === "start") await start(running.port);
      conn.end("ok\n");
    });
  });
  control.listen(0, "127.0.0.1", () => {
    console.log(`listening on http://127.0.0.1:${running.port}`);
    console.log(`control 127.0.0.1:${control.address().port}`);
  });
  process.stdin.on("end", () => process.exit(0)).resume();
}

main();
