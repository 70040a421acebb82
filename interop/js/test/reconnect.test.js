// The server goes away and comes back on the same port.
"use strict";

const assert = require("node:assert/strict");
const { ask, client, collect, connected, control, it, next, overEach, until, within } = require("./helpers.js");

const PATIENT = { reconnection: true, reconnectionDelay: 50, reconnectionDelayMax: 200 };

overEach((options, transport) => {
  it("clients come back after a restart, with what they wanted to say meanwhile", async () => {
    const sockets = Array.from({ length: 5 }, () => client("/", { ...options, ...PATIENT }));
    await Promise.all(sockets.map(connected));
    if (transport === "upgrade") {
      await until(() => sockets.every((socket) => socket.io.engine.transport.name === "websocket"), "upgrades");
    }
    const ids = sockets.map((socket) => socket.id);
    const heard = sockets.map((socket) => collect(socket, "echo"));
    const gone = Promise.all(sockets.map((socket) => next(socket, "disconnect")));

    await control("stop");
    for (const [reason] of await gone) {
      // A poll that is answered with a close packet, a closed WebSocket, or a refused connection.
      assert.ok(["transport close", "transport error"].includes(reason), reason);
    }
    const back = Promise.all(sockets.map((socket) => next(socket, "connect", 10_000)));
    sockets.forEach((socket, i) => {
      assert.equal(socket.active, true);
      socket.emit("echo", `${i} kept`);
    });
    await within(new Promise((resolve) => sockets[0].io.once("reconnect_error", resolve)), "a refused attempt", 10_000);
    await control("start");
    await back;

    sockets.forEach((socket, i) => assert.notEqual(socket.id, ids[i]));
    await until(() => heard.every((list) => list.length >= 1), "what was buffered");
    assert.deepEqual(await Promise.all(sockets.map((socket, i) => ask(socket, "sum", i, 1))), [1, 2, 3, 4, 5]);
    assert.deepEqual(heard, sockets.map((_, i) => [`${i} kept`]));
  }, 40_000);

  it("a namespace with credentials is joined again", async () => {
    let asked = 0;
    const auth = (answer) => answer({ token: "secret", name: `try ${++asked}` });
    const socket = client("/auth", { ...options, ...PATIENT, auth });
    await connected(socket);
    assert.equal(await ask(socket, "whoami"), "try 1");
    const gone = next(socket, "disconnect");
    await control("stop");
    await gone;
    const back = next(socket, "connect", 10_000);
    await control("start");
    await back;
    assert.match(await ask(socket, "whoami"), /^try [2-9]/);
  }, 40_000);
});

it("a client that was made to leave by the server does not come back by itself", async () => {
  const socket = client("/", { transports: ["websocket"], ...PATIENT });
  await connected(socket);
  const gone = next(socket, "disconnect");
  socket.emit("bye");
  assert.equal((await gone)[0], "io server disconnect");
  await new Promise((resolve) => setTimeout(resolve, 400));
  assert.equal(socket.connected, false);
});
