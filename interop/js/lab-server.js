// The servers that our client is tested against: the application of `interop/src/lab/app.rs` written with the official
// server. Keep the two alike; `interop/src/lab/mod.rs` says what there is.
//
//   stdin    {"id":1,"lab":7,"launch":{"port":0, ...}} starts a server, see DEFAULTS; {"id":2,"lab":7,"command":{"cmd":"sockets",...}}
//            is a command to it. The program ends when stdin is closed
//   stdout   {"id":1,"ok":...} or {"id":1,"error":"..."} for each of these; a launch is answered with the port.
//            {"lab":7,"log":"note","value":...} for each thing that happened, written before anything else goes on: what a server
//            saw comes before its next answer
//
// One program has them all: starting node takes longer than most tests.
"use strict";

const fs = require("node:fs");
const http = require("node:http");
const https = require("node:https");
const { Server } = require("socket.io");

const DEFAULTS = {
  port: 0,
  path: "/socket.io",
  transports: ["polling", "websocket"],
  allowUpgrades: true,
  pingInterval: 25000,
  pingTimeout: 20000,
  upgradeTimeout: 10000,
  connectTimeout: 45000,
  maxHttpBufferSize: 1e6,
  recovery: false, // connection state recovery
  cookies: false, // sets the cookies of COOKIES when a session opens
  requests: false, // logs each HTTP request
  tls: null, // {cert, key, clientRoot}, PEM; with clientRoot a client certificate is demanded
};

// One to keep, one that is removed at once, one for another path.
const COOKIES = ["lab=kept; Path=/; HttpOnly", "gone=x; Path=/; Max-Age=0", "other=x; Path=/elsewhere"];

// --- Binary in JSON --------------------------------------------------------------------------------------------------

// Bytes that both sides can make: `{"$bytes":[length,seed]}` stands for them in commands.
function pattern(length, seed) {
  const bytes = Buffer.alloc(length);
  for (let i = 0; i < length; i++) bytes[i] = (i * 31 + seed * 7 + (i >> 8)) & 0xff;
  return bytes;
}

// FNV-1a, 32 bits.
function digest(bytes) {
  let hash = 0x811c9dc5;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return { $digest: [bytes.length, hash] };
}

// From a command's JSON to arguments.
function revive(value) {
  if (Array.isArray(value)) return value.map(revive);
  if (value === null || typeof value !== "object") return value;
  if (Array.isArray(value.$bytes)) return pattern(...value.$bytes);
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, revive(inner)]));
}

// From arguments to JSON in which bytes are told by length and hash.
function describe(value) {
  if (Buffer.isBuffer(value)) return digest(value);
  if (Array.isArray(value)) return value.map(describe);
  if (value === null || typeof value !== "object") return value ?? null;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, describe(inner)]));
}

const NESTED = (size) => ({
  name: "nested",
  list: [pattern(1, 1), [pattern(2, 2), { deep: pattern(3, 3) }]],
  empty: pattern(0, 0),
  large: pattern(size, 4),
  none: null,
});

// --- A server --------------------------------------------------------------------------------------------------------

function listen(server, port, deadline) {
  return new Promise((resolve, reject) => {
    const attempt = () => server.listen(port, "127.0.0.1", resolve);
    // The port of a server that was ended a moment ago.
    server.on("error", (error) => {
      if (error.code === "EADDRINUSE" && Date.now() < deadline) setTimeout(attempt, 50);
      else reject(error);
    });
    attempt();
  });
}

// Starts a server, and gives its port and its commands.
async function launch(lab, options) {
  const OPTIONS = { ...DEFAULTS, ...options };
  const connections = new Set();
  // The Engine.IO sessions that were seen alive, and those that were cut: a request for one of these ends its connection,
  // so that a polling client that was just between two requests is cut too.
  const sessions = { alive: new Set(), cut: new Set() };
  let io;
  let server;
  let logs = true;

  function log(name, value) {
    if (logs) say({ lab, log: name, value });
  }

  // --- The application

  function watch(socket) {
    const { id, nsp } = socket;
    log("connect", { nsp: nsp.name, id, recovered: socket.recovered, auth: socket.handshake.auth });
    socket.on("disconnect", (reason) => log("disconnect", { nsp: nsp.name, id, reason }));

    socket.on("echo", (...args) => {
      if (typeof args.at(-1) === "function") args.pop();
      socket.emit("echo", ...args);
    });
    socket.on("echo-ack", (...args) => {
      const ack = args.pop();
      ack(...args);
    });
    socket.on("note", (value, ack) => {
      log("note", { nsp: nsp.name, id, value });
      ack?.();
    });
  }

  // The retries: how many items came, and what happens to which of them.
  const retries = { count: 0, swallowEvery: 0, cutEvery: 0, cut: "before" };

  function application() {
    io.on("connection", (socket) => {
      watch(socket);
      socket.on("sum", (a, b, ack) => ack(a + b));
      socket.on("pair", (value, ack) => ack(value, "second"));
      socket.on("three", (ack) => ack(1, "two", { three: [3] }));
      socket.on("nothing", (ack) => ack());
      // Only MessagePack tells these from what JSON makes of them.
      socket.on("javascript", (ack) => {
        const at = new Date(1785499445678);
        ack(at, undefined, new Uint8Array([1, 2, 3]).buffer, { at, gone: undefined, list: [NaN] });
      });
      socket.on("silent", () => {});
      socket.on("late", (value, ms, ack) => setTimeout(() => ack(value), ms));
      socket.on("describe", (...args) => {
        const ack = args.pop();
        ack(describe(args));
      });
      socket.on("nested", (size, ack) => ack(NESTED(size)));
      socket.on("nested-event", (size) => socket.emit("nested", NESTED(size), "and", pattern(5, 5)));
      socket.on("ask-me", (value, ms, ack) => {
        socket.timeout(ms).emit("question", value, (error, answer) => ack(error ? { error: "timeout" } : { answer }));
      });
      socket.on("ask-me-binary", (bytes, ack) => {
        socket.timeout(5000).emit("question", bytes, (error, answer) => ack(error ? null : answer));
      });
      socket.on("join", (room, ack) => {
        socket.join(room);
        ack("joined");
      });
      socket.on("leave", (room, ack) => {
        socket.leave(room);
        ack("left");
      });
      socket.on("to-room", (room, event, value, ack) => {
        socket.to(room).emit(event, value);
        ack("sent");
      });
      socket.on("burst", (count, ack) => {
        for (let i = 0; i < count; i++) socket.emit("tick", i);
        ack(count);
      });
      socket.on("bye", () => socket.disconnect());
      socket.on("bye-all", () => socket.disconnect(true));
      socket.on("handshake", (ack) => {
        const { headers, url } = socket.handshake;
        ack({ headers, url });
      });
    });

    const refusing = (name, refusal) => {
      io.of(name).use((socket, next) => {
        log("auth", { nsp: name, auth: socket.handshake.auth });
        next(refusal(socket.handshake.auth));
      });
      io.of(name).on("connection", (socket) => {
        watch(socket);
        socket.on("whoami", (ack) => ack(socket.handshake.auth.name ?? null));
      });
    };
    refusing("/admin", ({ token }) => {
      if (token === "secret") return undefined;
      return Object.assign(new Error("not authorized"), { data: { code: 401, token: token ?? null } });
    });
    refusing("/text", () => Object.assign(new Error("no"), { data: "because" }));
    refusing("/plain", () => new Error("never"));

    io.of("/news").on("connection", (socket) => {
      socket.join("news");
      socket.emit("welcome", socket.id);
      watch(socket);
    });

    io.of("/retries").on("connection", (socket) => {
      watch(socket);
      socket.on("item", (seq, ack) => {
        const count = ++retries.count;
        const hit = (every) => every > 0 && count % every === 0;
        const fate = hit(retries.cutEvery) ? `cut-${retries.cut}` : hit(retries.swallowEvery) ? "swallowed" : "sent";
        log("item", { id: socket.id, seq, ack: fate });
        if (fate === "sent" || fate === "cut-after") ack(seq);
        if (fate.startsWith("cut")) cut();
      });
    });
  }

  // --- Commands

  function find(id) {
    for (const nsp of io._nsps.values()) {
      const socket = nsp.sockets.get(id);
      if (socket) return socket;
    }
    throw new Error(`no socket ${id}`);
  }

  function selection({ nsp = "/", rooms = [], except = [], volatile = false }) {
    let all = io.of(nsp);
    if (rooms.length) all = all.to(rooms);
    if (except.length) all = all.except(except);
    return volatile ? all.volatile : all;
  }

  function emit(command) {
    selection(command).emit(command.event, ...(command.args ?? []).map(revive));
  }

  // Ends all TCP connections without a word, and with them the sessions.
  function cut() {
    const count = connections.size;
    for (const connection of connections) connection.destroy();
    for (const sid of sessions.alive) sessions.cut.add(sid);
    sessions.alive.clear();
    return count;
  }

  const COMMANDS = {
    sync: () => {},
    sockets: ({ nsp = "/" }) =>
      [...io.of(nsp).sockets.values()].map((socket) => ({ id: socket.id, transport: socket.conn.transport.name })),
    emit: (command) => emit(command),
    ask: ({ id, event, args = [], timeout = 5000 }) =>
      new Promise((resolve) => {
        find(id).timeout(timeout).emit(event, ...args.map(revive), (error, ...answers) =>
          resolve(error ? { error: "timeout" } : { answers: answers.map(describe) }),
        );
      }),
    join: ({ id, room }) => find(id).join(room),
    leave: ({ id, room }) => find(id).leave(room),
    disconnect: ({ id, close = false }) => {
      find(id).disconnect(close);
    },
    // Closes the Engine.IO session: `1`, or a close frame.
    close: ({ id }) => {
      find(id).conn.close();
    },
    cut: () => cut(),
    // No pings from now on.
    silence: ({ id }) => {
      const { conn } = find(id);
      clearTimeout(conn.pingIntervalTimer);
      clearTimeout(conn.pingTimeoutTimer);
    },
    // Closes the Engine.IO session, and emits while the client is away for certain.
    away: ({ id, events }) =>
      new Promise((resolve) => {
        const socket = find(id);
        socket.once("disconnect", () => {
          events.forEach((event) => emit({ nsp: socket.nsp.name, ...event }));
          resolve(events.length);
        });
        socket.conn.close();
      }),
    retries: ({ swallowEvery = 0, cutEvery = 0, cut = "before" }) => {
      Object.assign(retries, { count: 0, swallowEvery, cutEvery, cut });
    },
    // Ends gracefully.
    shutdown: () => new Promise((resolve) => io.close(() => resolve())),
    // Ends without a word to the clients, and nothing is logged any more.
    end: () =>
      new Promise((resolve) => {
        logs = false;
        server.close(() => resolve());
        cut();
        for (const client of Object.values(io.engine.clients)) client.close(true);
      }),
  };

  // --- The server

  const { tls } = OPTIONS;
  const nobody = (req, res) => res.writeHead(404).end();
  server = tls
    ? https.createServer(
        { cert: tls.cert, key: tls.key, ...(tls.clientRoot ? { ca: tls.clientRoot, requestCert: true } : {}) },
        nobody,
      )
    : http.createServer(nobody);
  server.on("connection", (connection) => {
    connections.add(connection);
    connection.on("close", () => connections.delete(connection));
  });
  io = new Server(server, {
    path: OPTIONS.path,
    transports: OPTIONS.transports,
    allowUpgrades: OPTIONS.allowUpgrades,
    pingInterval: OPTIONS.pingInterval,
    pingTimeout: OPTIONS.pingTimeout,
    upgradeTimeout: OPTIONS.upgradeTimeout,
    connectTimeout: OPTIONS.connectTimeout,
    maxHttpBufferSize: OPTIONS.maxHttpBufferSize,
    serveClient: false,
    ...(OPTIONS.recovery ? { connectionStateRecovery: {} } : {}),
    ...(OPTIONS.msgpack ? { parser: require("socket.io-msgpack-parser") } : {}),
  });
  application();
  if (OPTIONS.cookies) {
    // For a WebSocket, Engine.IO would make one header of the list.
    io.engine.on("initial_headers", (headers, req) => {
      headers["set-cookie"] = req.headers.upgrade ? COOKIES[0] : COOKIES;
    });
  }
  for (const event of ["request", "upgrade"]) {
    const listeners = server.listeners(event);
    server.removeAllListeners(event).on(event, (req, ...rest) => {
      const { method, url, headers } = req;
      const sid = /[?&]sid=([^&]*)/.exec(url)?.[1];
      if (sessions.cut.has(sid)) return req.socket.destroy();
      if (sid) sessions.alive.add(sid);
      if (OPTIONS.requests) log("request", { method, url, headers });
      for (const listener of listeners) listener.call(server, req, ...rest);
    });
  }
  await listen(server, OPTIONS.port, Date.now() + 10_000);
  return { port: server.address().port, COMMANDS };
}

// --- Standard input and output ---------------------------------------------------------------------------------------

function say(value) {
  let rest = Buffer.from(`${JSON.stringify(value)}\n`);
  while (rest.length) {
    try {
      rest = rest.subarray(fs.writeSync(1, rest));
    } catch (error) {
      if (error.code !== "EAGAIN") throw error;
    }
  }
}

const labs = new Map();

async function obey({ lab, launch: options, command }) {
  try {
    if (options) {
      const { port, COMMANDS } = await launch(lab, options);
      labs.set(lab, COMMANDS);
      return { ok: port };
    }
    const COMMANDS = labs.get(lab);
    const { cmd, ...rest } = command;
    if (!Object.hasOwn(COMMANDS, cmd)) throw new Error(`unknown command "${cmd}"`);
    const ok = (await COMMANDS[cmd](rest)) ?? null;
    if (cmd === "end") labs.delete(lab);
    return { ok };
  } catch (error) {
    return { error: error.message };
  }
}

let text = "";
process.stdin.setEncoding("utf8");
process.stdin.on("data", (chunk) => {
  const lines = (text + chunk).split("\n");
  text = lines.pop();
  for (const line of lines) {
    const { id, ...rest } = JSON.parse(line);
    obey(rest).then((answer) => say({ id, ...answer }));
  }
});
process.stdin.on("end", () => process.exit(0));
