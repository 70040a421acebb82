// The reference with options of its HTTP front. `tests/http_front.rs` has the same server, written with ours: keep them alike.
"use strict";

const http = require("node:http");
const { Server } = require("socket.io");

const server = http.createServer((req, res) => res.writeHead(404).end());
const io = new Server(server, {
  cookie: true,
  serveClient: true,
  cors: {
    origin: ["http://friend.example", /\.pal\.example$/],
    credentials: true,
    exposedHeaders: ["x-a", "x-b"],
    maxAge: 600,
  },
  allowRequest: (req, callback) => {
    const query = new URL(req.url, "http://localhost").searchParams;
    if (query.has("forbidden")) callback("not you", false);
    else if (query.has("silent")) callback("", false);
    else callback(null, true);
  },
});

io.engine.on("initial_headers", (headers) => {
  headers["x-initial"] = "1";
});
io.engine.on("headers", (headers) => {
  headers["x-all"] = "1";
});

const generateId = io.engine.generateId;
io.engine.generateId = async (req) => {
  const query = new URL(req.url, "http://localhost").searchParams;
  if (query.has("noid")) throw new Error("no id");
  return (query.get("node") ?? "") + (await generateId.call(io.engine, req));
};

const errors = [];
io.engine.on("connection_error", ({ req, code, message, context }) => {
  errors.push([req.method, code, context?.message || message, context?.name ?? null]);
});

io.on("connection", (socket) => {
  socket.on("errors", (ack) => ack(errors.splice(0)));
  socket.on("big", (length, ack) => ack("x".repeat(length)));
  socket.on("handshake", (ack) => {
    const { headers, address, xdomain, secure, issued, url, query } = socket.handshake;
    ack({ header: headers["x-own"] ?? null, address, xdomain, secure, recent: Date.now() - issued < 60000, url, query: { ...query } });
  });
});

server.listen(0, "127.0.0.1", () => console.log(`listening on http://127.0.0.1:${server.address().port}`));
process.stdin.on("end", () => process.exit(0)).resume();
