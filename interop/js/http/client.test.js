// The official client against the HTTP front: refusals, origins, cookies, compressed answers.
"use strict";

const assert = require("node:assert/strict");
const { after, test } = require("node:test");
const { Fetch } = require("engine.io-client");
const { io } = require("socket.io-client");

const URL = process.env.SIO_URL;
const OURS = process.env.SIO_OURS === "1";
const open = new Set();
after(() => open.forEach((socket) => socket.disconnect()));

function client(options) {
  const socket = io(URL, { forceNew: true, reconnection: false, ...options });
  open.add(socket);
  return socket;
}

function connected(options) {
  const socket = client(options);
  return new Promise((resolve, reject) => {
    socket.once("connect", () => resolve(socket));
    socket.once("connect_error", reject);
  });
}

const TRANSPORTS = { XHR: "polling", Fetch, WebSocket: "websocket" };

for (const [name, transport] of Object.entries(TRANSPORTS)) {
  const only = { transports: [transport] };

  test(`${name}: without options`, { timeout: 10000 }, async () => {
    const socket = await connected(only);
    assert.equal(await socket.emitWithAck("big", 5000), "x".repeat(5000));
    const handshake = await socket.emitWithAck("handshake");
    assert.deepEqual([handshake.address, handshake.xdomain, handshake.secure, handshake.recent], ["127.0.0.1", false, false, true]);
  });

  test(`${name}: a refused request is a connect_error`, { timeout: 10000 }, async () => {
    const error = await connected({ ...only, query: { forbidden: 1 } }).then(() => assert.fail("let in"), (error) => error);
    const expected = { XHR: "xhr poll error", Fetch: "fetch read error", WebSocket: "websocket error" };
    assert.equal(error.message, expected[name]);
    // What the documentation tells to look at.
    if (name !== "WebSocket") assert.equal(error.description, 403);
  });

  test(`${name}: headers and query arrive`, { timeout: 10000 }, async () => {
    const socket = await connected({ ...only, extraHeaders: { "X-Own": "mine" }, query: { room: "a b&ü" } });
    const { header, query, url } = await socket.emitWithAck("handshake");
    assert.equal(header, "mine");
    assert.equal(query.room, "a b&ü");
    assert.ok(url.startsWith("/socket.io/?"), url);
  });

  test(`${name}: a page that is a friend's`, { timeout: 10000 }, async () => {
    for (const origin of ["http://friend.example", "https://my.pal.example", URL, URL.replace("http", "ws")]) {
      // A browser's fetch does not let scripts choose; node's does.
      const socket = await connected({ ...only, extraHeaders: { Origin: origin } });
      assert.equal((await socket.emitWithAck("handshake")).xdomain, true);
    }
  });

  test(`${name}: a page that is a stranger's`, { timeout: 10000 }, async () => {
    const attempt = connected({ ...only, extraHeaders: { Origin: "http://stranger.example" } });
    // The reference leaves it to the browser, which does not look at WebSockets.
    if (OURS) await assert.rejects(attempt, /error/);
    else await attempt;
  });
}

test("the cookie comes back on every request and on the upgrade", { timeout: 10000 }, async () => {
  const socket = await connected({ withCredentials: true });
  await new Promise((resolve) => {
    if (socket.io.engine.transport.name === "websocket") resolve();
    else socket.io.engine.once("upgrade", resolve);
  });
  assert.equal(await socket.emitWithAck("big", 3), "xxx");
});

test("the id of a session begins as the server wants", { timeout: 10000 }, async () => {
  for (const transports of [["polling"], ["websocket"], ["polling", "websocket"]]) {
    const socket = await connected({ transports, query: { node: "eu-1" } });
    assert.ok(socket.io.engine.id.startsWith("eu-1"), socket.io.engine.id);
    assert.ok(!socket.id.startsWith("eu-1"));
    assert.equal(await socket.emitWithAck("big", 3), "xxx");
    await assert.rejects(connected({ transports, query: { noid: 1 } }));
  }
});

test("compressed answers are understood", { timeout: 10000 }, async () => {
  const encodings = [];
  const { fetch } = globalThis;
  globalThis.fetch = async (...args) => {
    const response = await fetch(...args);
    encodings.push(response.headers.get("content-encoding"));
    return response;
  };
  try {
    const socket = await connected({ transports: [Fetch] });
    const text = await socket.emitWithAck("big", 300000);
    assert.equal(text.length, 300000);
  } finally {
    globalThis.fetch = fetch;
  }
  assert.ok(encodings.includes("gzip"), `${encodings}`);
});
