// Acknowledgements, from client to server and from server to client.
"use strict";

const assert = require("node:assert/strict");
const { ask, it, overEach, ready, sleep, within } = require("./helpers.js");

// All the values of an acknowledgement.
const values = (socket, event, ...args) =>
  within(new Promise((resolve) => socket.emit(event, ...args, (...result) => resolve(result))), `answer to ${event}`);

overEach((options) => {
  it("a returned value answers", async () => {
    const socket = await ready("/", options);
    assert.equal(await ask(socket, "sum", 19, 23), 42);
  });

  it("an answer may hold several values, one, or none", async () => {
    const socket = await ready("/", options);
    assert.deepEqual(await values(socket, "pair", { a: 1 }), [{ a: 1 }, "second"]);
    assert.deepEqual(await values(socket, "echo-ack", null), [null]);
    assert.deepEqual(await values(socket, "nothing"), []);
  });

  it("an answer is an argument list as it stands", async () => {
    const socket = await ready("/", options);
    assert.deepEqual(await values(socket, "echo-ack", 1, "a", [2], { b: null }, [], true), [1, "a", [2], { b: null }, [], true]);
  });

  it("the first answer wins", async () => {
    const socket = await ready("/", options);
    let calls = 0;
    socket.emit("twice", "once", () => calls++);
    assert.equal(await ask(socket, "echo-ack", "after"), "after");
    await sleep(50);
    assert.equal(calls, 1);
  });

  it("hundred questions at once each get their own answer", async () => {
    const socket = await ready("/", options);
    const answers = await Promise.all(Array.from({ length: 100 }, (_, i) => ask(socket, "sum", i, i)));
    assert.deepEqual(answers, Array.from({ length: 100 }, (_, i) => 2 * i));
  });

  it("an event that wants no answer is handled by the same handler", async () => {
    const socket = await ready("/", options);
    socket.emit("sum-without-answer", 1, 2);
    socket.emit("echo-ack", 1);
    assert.equal(await ask(socket, "sum", 1, 2), 3);
  });

  it("no answer in time is an error, and the connection goes on", async () => {
    const socket = await ready("/", options);
    await assert.rejects(socket.timeout(100).emitWithAck("nobody answers"), /timed out/);
    assert.equal(await ask(socket, "sum", 2, 2), 4);
  });

  it("the client answers the server", async () => {
    const socket = await ready("/", options);
    socket.on("question", (value, answer) => answer({ was: value }));
    assert.deepEqual(await ask(socket, "server-ask", ["x", 1], 2000), { answer: { was: ["x", 1] } });
  });

  it("the client answers later, and after other traffic", async () => {
    const socket = await ready("/", options);
    socket.on("question", async (value, answer) => {
      for (let i = 0; i < 20; i++) socket.emit("echo", i);
      await sleep(50);
      answer(value);
    });
    assert.deepEqual(await ask(socket, "server-ask", "late", 2000), { answer: "late" });
  });

  it("a client that never answers runs into the server's timeout; a late answer is ignored", async () => {
    const socket = await ready("/", options);
    let late;
    socket.on("question", (value, answer) => (late = answer));
    assert.deepEqual(await ask(socket, "server-ask", 1, 100), { error: "timeout" });
    late("too late");
    assert.equal(await ask(socket, "sum", 1, 1), 2);
  });
});
