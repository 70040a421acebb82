// Who is sent away, and how.
"use strict";

const assert = require("node:assert/strict");
const { ask, client, connected, it, next, overEach, ready, until } = require("./helpers.js");

let rooms = 0;
const room = (name) => `${name}-${process.pid}-${++rooms}`;

overEach((options) => {
  it("all of a room are sent away, and their connections stay", async () => {
    const [a, b, c] = await Promise.all([1, 2, 3].map(() => ready("/extras", options)));
    const name = room("r");
    const other = a.io.socket("/");
    await connected(other);
    for (const socket of [a, b]) await ask(socket, "join", [name]);
    const reasons = [a, b].map((socket) => next(socket, "disconnect"));
    assert.equal(await ask(c, "dismiss", name, false), "done");
    for (const [reason] of await Promise.all(reasons)) assert.equal(reason, "io server disconnect");
    assert.equal(await ask(other, "sum", 1, 2), 3);
    assert.equal(await ask(c, "count"), 1);
    other.disconnect();
  });

  it("all of a room are sent away with their connections", async () => {
    const [a, c] = await Promise.all([1, 2].map(() => ready("/extras", options)));
    const name = room("r");
    const other = a.io.socket("/");
    await connected(other);
    await ask(a, "join", [name]);
    const closed = next(a.io.engine, "close");
    const reasons = [a, other].map((socket) => next(socket, "disconnect"));
    assert.equal(await ask(c, "dismiss", name, true), "done");
    assert.deepEqual((await Promise.all(reasons)).map(([reason]) => reason), Array(2).fill("io server disconnect"));
    await closed;
    assert.equal(await ask(c, "count"), 1);
  });

  it("one is sent away with words for the server's own handlers", async () => {
    const [a, b] = await Promise.all([1, 2].map(() => ready("/extras", options)));
    const { id } = a;
    const left = next(a, "disconnect");
    assert.equal(await ask(b, "kick", id, "too loud"), "done");
    const [reason] = await left;
    assert.equal(reason, "io server disconnect");
    await until(async () => (await ask(b, "kicked", id)) === "too loud", "the words");
    assert.equal(await ask(b, "kicked", b.id), null);
  });
});

it("who was sent away may come back by itself", async () => {
  const a = client("/extras", { transports: ["websocket"], reconnection: true });
  await connected(a);
  const b = await ready("/extras", { transports: ["websocket"] });
  const left = next(a, "disconnect");
  await ask(b, "kick", a.id, "once");
  await left;
  assert.equal(a.active, false);
  a.connect();
  await connected(a);
  assert.equal(await ask(a, "count"), 1);
});
