// What the server knows about a client's connection.
"use strict";

const assert = require("node:assert/strict");
const { TRANSPORTS, ask, client, connected, it, ready, until } = require("./helpers.js");

it("polling alone", async () => {
  const socket = await ready("/", TRANSPORTS.polling);
  assert.deepEqual(await ask(socket, "conn"), { transport: "polling", protocol: 4, upgraded: null });
});

it("websocket alone", async () => {
  const socket = await ready("/", TRANSPORTS.websocket);
  assert.deepEqual(await ask(socket, "conn"), { transport: "websocket", protocol: 4, upgraded: null });
});

it("an upgrade is told", async () => {
  const socket = client("/");
  await connected(socket);
  await until(() => socket.io.engine.transport.name === "websocket", "upgrade");
  assert.deepEqual(await ask(socket, "conn"), { transport: "websocket", protocol: 4, upgraded: "websocket" });
});
