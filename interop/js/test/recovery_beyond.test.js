// Connection state recovery where the reference fails: see docs/differences.md.
"use strict";

const assert = require("node:assert/strict");
const { ask, client, connected, it, next, overEach, ready, until } = require("./helpers.js");

const AWAY = { reconnection: true, reconnectionDelay: 300, reconnectionDelayMax: 300, randomizationFactor: 0 };

overEach((options) => {
  it("a client that has heard nothing yet is recovered", async () => {
    const friend = await ready("/", { transports: ["websocket"] });
    const socket = await ready("/", { ...options, ...AWAY });
    const { id } = socket;
    const back = next(socket, "connect");
    const first = next(socket, "tick");
    socket.io.engine.close();
    await until(async () => !(await ask(friend, "observed", id)).connected, "the end is noticed");
    await ask(friend, "in-room", id, "tick", 1);
    await back;
    assert.equal(socket.recovered, true);
    assert.equal(socket.id, id);
    assert.equal((await first)[0], 1);
  });

  it("a client takes over from a connection that still seems to live", async () => {
    const friend = await ready("/", { transports: ["websocket"] });
    const old = await ready("/", options);
    await ask(old, "join", "room");
    await ask(old, "burst", 1);
    const { id, _pid: pid, _lastOffset: offset } = old;
    const gone = next(old, "disconnect");
    const socket = client("/", { ...options, auth: { pid, offset } });
    const missed = next(socket, "missed");
    // Emitted while the old connection is the only one, but not seen there as far as the new one says.
    await ask(friend, "in-room", "room", "missed", 1);
    await connected(socket);
    assert.equal((await missed)[0], 1);
    assert.equal(socket.id, id);
    assert.deepEqual(await ask(socket, "rooms"), [id, "room"].sort());
    // The old one does not come back to fight for the session.
    assert.deepEqual((await gone)[0], "io server disconnect");
    assert.equal((await ask(friend, "observed", id)).connected, true);
  });
});
