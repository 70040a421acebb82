// Events that may be lost, and so many that the server has to wait.
"use strict";

const assert = require("node:assert/strict");
const { ask, collect, it, overEach, ready, until } = require("./helpers.js");

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

  it("many events that are large together arrive all, in order", async () => {
    const socket = await ready("/extras", options);
    const ticks = collect(socket, "tick");
    assert.equal(await ask(socket, "flood", 200, 10_000), 200);
    assert.deepEqual(ticks.map(([number]) => number), Array.from({ length: 200 }, (_, i) => i));
    assert.ok(ticks.every(([, text]) => text.length === 10_000));
  });
});
