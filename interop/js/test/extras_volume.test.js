// Events that may be lost, and so many that the server has to wait.
"use strict";

const assert = require("node:assert/strict");
const { LIMIT, ask, collect, it, overEach, ready, until } = require("./helpers.js");

let rooms = 0;
const room = (name) => `${name}-${process.pid}-${++rooms}`;

overEach((options) => {
  it("volatile events reach who can be written to at once, and are lost otherwise", async () => {
    const [a, b] = await Promise.all([1, 2].map(() => ready("/extras", options)));
    const name = room("r");
    await ask(b, "join", [name]);
    const ticks = collect(b, "tick");
    // A polling client is not there between two polls.
    await until(async () => {
      await ask(a, "volatile", name, 1);
      await ask(b, "count");
      return ticks.length > 0;
    }, "one gets through");
    ticks.length = 0;
    assert.equal(await ask(a, "volatile", name, 1000), 1000);
    await ask(b, "count");
    assert.ok(ticks.length < 1000, "nobody can be written to a thousand times at once");
    assert.deepEqual(ticks, ticks.toSorted((x, y) => x - y));
  });
});

// As one answer to a poll it would keep the client busy for seconds.
overEach((options) => {
  it("more than the server keeps for one client arrives, in order", async () => {
    // 20 MB; ours keeps 16 MiB, and waits for room.
    const [count, size] = [400, 50_000];
    const socket = await ready("/extras", options);
    const numbers = [];
    socket.on("tick", (number, text) => numbers.push(text.length === size ? number : text.length));
    assert.equal(await socket.timeout(3 * LIMIT).emitWithAck("flood", count, size), count);
    assert.deepEqual(numbers, Array.from({ length: count }, (_, i) => i));
  });
}, ["websocket", "upgrade"]);
