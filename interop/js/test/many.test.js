// Fifty clients at once, of every kind.
"use strict";

const assert = require("node:assert/strict");
const { Manager } = require("socket.io-client");
const { TRANSPORTS, URL, ask, client, collect, connected, it, overEach, ready, until } = require("./helpers.js");

const COUNT = 50;

overEach((options) => {
  it(`${COUNT} clients talk at the same time`, async () => {
    const sockets = await Promise.all(Array.from({ length: COUNT }, () => ready("/", options)));
    assert.equal(new Set(sockets.map((socket) => socket.id)).size, COUNT);
    const heard = sockets.map((socket) => collect(socket, "echo"));
    sockets.forEach((socket, n) => {
      for (let i = 0; i < 20; i++) socket.emit("echo", [n, i, i % 4 === 0 ? Buffer.from([n, i]) : null]);
    });
    await until(() => heard.every((list) => list.length >= 20), "all echoes", 15_000);
    heard.forEach((list, n) => {
      assert.deepEqual(
        list.map(([from, i, blob]) => [from, i, blob && [...Buffer.from(blob)]]),
        Array.from({ length: 20 }, (_, i) => [n, i, i % 4 === 0 ? [n, i] : null]),
      );
    });
  }, 40_000);

  it(`each of ${COUNT} clients speaks to all others`, async () => {
    const sockets = await Promise.all(Array.from({ length: COUNT }, () => ready("/", options)));
    const event = `hello-${Math.random()}`;
    const heard = sockets.map((socket) => collect(socket, event));
    await Promise.all(sockets.map((socket, n) => ask(socket, "broadcast", event, n)));
    await until(() => heard.every((list) => list.length >= COUNT - 1), "all greetings", 15_000);
    heard.forEach((list, n) => {
      const others = Array.from({ length: COUNT }, (_, i) => i).filter((i) => i !== n);
      assert.deepEqual(list.toSorted((a, b) => a - b), others);
    });
  }, 40_000);

  it("clients that come and go disturb nobody and are forgotten", async () => {
    const stable = await ready("/", options);
    const before = (await ask(stable, "counts")).connected;
    for (let round = 0; round < 4; round++) {
      const sockets = Array.from({ length: 25 }, () => client("/", options));
      await Promise.all(sockets.map(connected));
      sockets.forEach((socket, i) => (i % 2 ? socket.disconnect() : socket.io.engine.close()));
      assert.equal(await ask(stable, "sum", round, 1), round + 1);
    }
    await until(async () => (await ask(stable, "counts")).connected === before, "the server to forget them");
  }, 40_000);
});

it("clients of all kinds and namespaces together", async () => {
  const kinds = Object.values(TRANSPORTS);
  const managers = Array.from({ length: COUNT }, (_, i) => new Manager(URL, { ...kinds[i % 3], reconnection: false }));
  try {
    const sockets = managers.flatMap((manager) => [
      manager.socket("/"),
      manager.socket("/news"),
      manager.socket("/auth", { auth: { token: "secret", name: "n" } }),
    ]);
    await Promise.all(sockets.map(connected));
    assert.equal(new Set(sockets.map((socket) => socket.id)).size, 3 * COUNT);
    const answers = await Promise.all(
      sockets.map((socket, i) =>
        i % 3 === 0 ? ask(socket, "sum", i, 1) : i % 3 === 1 ? ask(socket, "echo-ack", i + 1) : ask(socket, "whoami"),
      ),
    );
    answers.forEach((answer, i) => assert.equal(answer, i % 3 === 2 ? "n" : i + 1));
  } finally {
    managers.forEach((manager) => manager._close());
  }
}, 40_000);
