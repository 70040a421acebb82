// Connection state recovery: a client that comes back has missed nothing.
"use strict";

const assert = require("node:assert/strict");
const { ask, connected, client, it, next, overEach, ready, sleep, until } = require("./helpers.js");

const AWAY = { reconnection: true, reconnectionDelay: 300, reconnectionDelayMax: 300, randomizationFactor: 0 };

// Without the offset at the end.
const firsts = (socket, event) => {
  const list = [];
  socket.on(event, (value) => list.push(value));
  return list;
};

// Closes the client's connection, and waits until the server knows.
async function leave(socket, friend) {
  const { id } = socket;
  socket.io.engine.close();
  await until(async () => !(await ask(friend, "observed", id)).connected, "the end is noticed");
}

overEach((options) => {
  it("id, rooms and missed events come back", async () => {
    const friend = await ready("/", { transports: ["websocket"] });
    const socket = await ready("/", { ...options, ...AWAY });
    const heard = firsts(socket, "tick");
    const blobs = firsts(socket, "blob");
    await ask(socket, "join", "room");
    await ask(friend, "in-room", "room", "tick", 0);
    await until(() => heard.length === 1, "the first event");
    const { id } = socket;
    for (const round of [1, 2, 3]) {
      const back = next(socket, "connect");
      await leave(socket, friend);
      await ask(friend, "in-room", "room", "tick", 10 * round);
      await ask(friend, "in-room", "another", "tick", "not meant");
      await ask(friend, "to-room-binary", "room", "blob", Buffer.from([round]));
      await ask(friend, "in-room", id, "tick", 10 * round + 1);
      await back;
      assert.equal(socket.recovered, true);
      assert.equal(socket.id, id);
      assert.deepEqual(await ask(socket, "rooms"), [id, "room"].sort());
    }
    await ask(friend, "in-room", "room", "tick", "end");
    await until(() => heard.at(-1) === "end", "the last event");
    assert.deepEqual(heard, [0, 10, 11, 20, 21, 30, 31, "end"]);
    assert.deepEqual(blobs.map((value) => [...value.blob]), [[1], [2], [3]]);
  });
});

it("offsets are strings, and differ", async () => {
  const socket = await ready("/", { transports: ["websocket"] });
  const offsets = [];
  socket.on("tick", (value, offset) => offsets.push(offset));
  await ask(socket, "burst", 100);
  assert.ok(offsets.every((offset) => typeof offset === "string"));
  assert.equal(new Set(offsets).size, 100);
});

it("a client that was sent away begins anew", async () => {
  const socket = await ready("/", { transports: ["websocket"], ...AWAY });
  await ask(socket, "burst", 1);
  const { id } = socket;
  const gone = next(socket, "disconnect");
  socket.emit("bye");
  await gone;
  const back = next(socket, "connect");
  socket.connect();
  await back;
  assert.equal(socket.recovered, false);
  assert.notEqual(socket.id, id);
});

it("a client that left begins anew", async () => {
  const socket = await ready("/", { transports: ["websocket"] });
  await ask(socket, "burst", 1);
  const { id } = socket;
  socket.disconnect();
  const back = next(socket, "connect");
  socket.connect();
  await back;
  assert.equal(socket.recovered, false);
  assert.notEqual(socket.id, id);
});

it("a made-up pid is no way in", async () => {
  const socket = client("/", { transports: ["websocket"], auth: { pid: "AAAAAAAAAAAAAAAAAAAA", offset: "x" } });
  await connected(socket);
  assert.equal(socket.recovered, false);
  await sleep(1);
});

it("a credential is not asked for again", async () => {
  const friend = await ready("/", { transports: ["websocket"] });
  let asked = 0;
  const auth = (answer) => answer({ token: asked++ ? "wrong" : "secret", name: "first" });
  const socket = await ready("/auth", { transports: ["websocket"], ...AWAY, auth });
  const first = socket.id;
  const outcome = Promise.race([next(socket, "connect_error"), next(socket, "connect")]);
  await leave(socket, friend);
  await outcome;
  // Nothing was received in this namespace: the reference then recovers nothing, and asks.
  if (socket.recovered) assert.equal(socket.id, first);
  else assert.equal(socket.connected, false);
});
