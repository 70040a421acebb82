// Events with types, data of sockets, middlewares of events, failures, and those who watch everything.
"use strict";

const assert = require("node:assert/strict");
const { ask, collect, it, next, overEach, ready } = require("./helpers.js");

overEach((options) => {
  it("an event of several arguments, answered and passed on", async () => {
    const [a, b] = await Promise.all([ready("/extras", options), ready("/extras", options)]);
    const moved = next(b, "moved");
    assert.equal(await ask(a, "move", 1.5, -4), -2.5);
    assert.deepEqual(await moved, [{ x: 1.5, y: -4 }]);
  });

  it("each socket has data of its own, which others can read", async () => {
    const [a, b] = await Promise.all([ready("/extras", options), ready("/extras", options)]);
    for (const wanted of [1, 2, 3]) assert.equal(await ask(a, "count"), wanted);
    assert.equal(await ask(b, "count"), 1);
    assert.equal(await ask(b, "count-of", a.id), 3);
    assert.equal(await ask(b, "count-of", "nobody"), null);
    a.disconnect().connect();
    await next(a, "connect");
    assert.equal(await ask(a, "count"), 1);
  });

  it("a middleware refuses events, and the client is told why", async () => {
    const [a, b] = await Promise.all([ready("/extras", options), ready("/extras", options)]);
    assert.deepEqual(await ask(a, "forbidden", 1, 2), { error: "not allowed" });
    a.emit("forbidden");
    assert.equal(await ask(a, "forbid", "count"), "forbidden");
    assert.deepEqual(await ask(a, "count"), { error: "not allowed here" });
    assert.equal(await ask(a, "move", 1, 1), 2);
    assert.equal(await ask(b, "count"), 1, "that was a middleware of the other one");
  });

  it("a handler that fails is an answer", async () => {
    const socket = await ready("/extras", options);
    assert.deepEqual(await ask(socket, "fails"), { error: "fails on purpose" });
    socket.emit("fails", () => {});
    assert.equal(await ask(socket, "count"), 1);
  });

  it("everything that comes and goes can be watched", async () => {
    const socket = await ready("/extras", options);
    const [hello, all] = [collect(socket, "hello"), collect(socket, "all-hello")];
    socket.emit("unknown", 1);
    socket.emit("forbidden", () => {});
    assert.equal(await ask(socket, "greet", "hello"), "greeted");
    assert.deepEqual([hello.length, all.length], [1, 1]);
    const { incoming, outgoing } = await ask(socket, "traffic");
    assert.deepEqual(incoming, ["unknown", "greet", "traffic"]);
    // Others may have greeted everyone, too.
    assert.deepEqual(outgoing.filter((event) => event.endsWith("hello")), ["hello", "all-hello"]);
  });

  it("the client hears everything, too", async () => {
    const socket = await ready("/extras", options);
    const heard = [];
    const said = [];
    socket.onAny((event) => heard.push(event));
    socket.onAnyOutgoing((event) => said.push(event));
    await ask(socket, "greet", "hello");
    assert.deepEqual([heard, said], [["hello", "all-hello"], ["greet"]]);
  });

  it("the revision of the protocol", async () => {
    assert.equal(await ask(await ready("/extras", options), "protocol"), 4);
  });

  it("events of one client are handled at the same time, where that is wanted", async () => {
    const socket = await ready("/at-once", options);
    const three = Array.from({ length: 3 }, () => ask(socket, "meet", 3));
    assert.deepEqual(await Promise.all(three), [true, true, true]);
  });
});
