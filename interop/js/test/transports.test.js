// Each transport alone, and the step from one to the other.
"use strict";

const assert = require("node:assert/strict");
const { TRANSPORTS, ask, client, collect, connected, it, next, overEach, ready, until } = require("./helpers.js");

it("polling alone stays on polling", async () => {
  const socket = await ready("/", TRANSPORTS.polling);
  assert.equal(socket.io.engine.transport.name, "polling");
  assert.equal(await ask(socket, "sum", 1, 2), 3);
  assert.equal(socket.io.engine.transport.name, "polling");
});

it("a client that does not want to upgrade stays on polling", async () => {
  const socket = await ready("/", { transports: ["polling"], upgrade: false });
  assert.equal(await ask(socket, "sum", 1, 2), 3);
  assert.equal(socket.io.engine.transport.name, "polling");
});

it("websocket alone never polls", async () => {
  const socket = client("/", TRANSPORTS.websocket);
  const names = [];
  socket.io.on("open", () => names.push(socket.io.engine.transport.name));
  await connected(socket);
  assert.equal(await ask(socket, "sum", 1, 2), 3);
  assert.deepEqual(names, ["websocket"]);
});

it("the default is to begin with polling and upgrade, keeping the id", async () => {
  const socket = client("/");
  await connected(socket);
  const { id } = socket;
  const engine = socket.io.engine.id;
  await until(() => socket.io.engine.transport.name === "websocket", "upgrade");
  assert.equal(socket.id, id);
  assert.equal(socket.io.engine.id, engine);
  assert.equal(await ask(socket, "sum", 1, 2), 3);
});

it("a client that prefers websocket begins with it", async () => {
  const socket = client("/", { transports: ["websocket", "polling"] });
  await connected(socket);
  assert.equal(socket.io.engine.transport.name, "websocket");
  assert.equal(await ask(socket, "sum", 1, 2), 3);
});

it("the handshake tells what the server was configured with", async () => {
  const socket = client("/", TRANSPORTS.polling);
  const [data] = await next(socket.io.engine, "handshake");
  assert.deepEqual(Object.keys(data).sort(), ["maxPayload", "pingInterval", "pingTimeout", "sid", "upgrades"]);
  assert.deepEqual(data.upgrades, ["websocket"]);
  assert.equal(data.maxPayload, 1_000_000);
});

it("nothing is lost or reordered while the connection upgrades", async () => {
  for (let round = 0; round < 5; round++) {
    const socket = client("/", TRANSPORTS.upgrade);
    const heard = collect(socket, "echo");
    const ticks = collect(socket, "tick");
    const upgraded = new Promise((resolve) => socket.io.on("open", () => socket.io.engine.once("upgrade", resolve)));
    await connected(socket);
    let sent = 0;
    let done = false;
    upgraded.then(() => (done = true));
    let rest = 20;
    while (rest > 0) {
      if (done) rest--;
      socket.emit("echo", sent % 5 === 4 ? Buffer.from(String(sent)) : sent);
      sent++;
      if (sent % 10 === 0) {
        socket.emit("burst", 10, () => {});
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
      assert.ok(sent < 100_000, "no upgrade");
    }
    await until(() => heard.length >= sent, `${sent} echoes`);
    assert.deepEqual(
      heard.map((item) => Number(typeof item === "number" ? item : Buffer.from(item).toString())),
      Array.from({ length: sent }, (_, i) => i),
    );
    const bursts = Math.floor(sent / 10);
    await until(() => ticks.length >= bursts * 10, "bursts");
    assert.deepEqual(ticks, Array.from({ length: bursts * 10 }, (_, i) => i % 10));
    socket.disconnect();
  }
});

it("answers that were under way during the upgrade arrive", async () => {
  const socket = client("/", TRANSPORTS.upgrade);
  const upgraded = new Promise((resolve) => socket.io.on("open", () => socket.io.engine.once("upgrade", resolve)));
  socket.on("question", (value, answer) => setTimeout(() => answer(value), 20));
  await connected(socket);
  const asked = Array.from({ length: 30 }, (_, i) => ask(socket, "server-ask", i, 3000));
  await upgraded;
  assert.deepEqual(
    (await Promise.all(asked)).map((reply) => reply.answer),
    Array.from({ length: 30 }, (_, i) => i),
  );
});

overEach((options) => {
  it("a query of the application's own is no obstacle", async () => {
    const socket = await ready("/", { ...options, query: { token: "a=b&c", "ünï": "😀" } });
    assert.equal(await ask(socket, "sum", 1, 2), 3);
  });

  it("headers of the application's own are no obstacle", async () => {
    const socket = await ready("/", { ...options, extraHeaders: { "X-Tenant": "one", Authorization: "Bearer x" } });
    assert.equal(await ask(socket, "sum", 1, 2), 3);
  });

  it("a path that is not served is an error, not a hang", async () => {
    const socket = client("/", { ...options, path: "/elsewhere" });
    const [error] = await next(socket, "connect_error");
    assert.ok(error);
  });
});
