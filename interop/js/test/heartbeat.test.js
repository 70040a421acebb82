// Heartbeats. The server of this file pings every 300 ms and waits 600 ms for the answer.
"use strict";

const assert = require("node:assert/strict");
const { ask, it, next, overEach, ready, sleep, until } = require("./helpers.js");

overEach((options, transport) => {
  it("an idle connection lives on heartbeats", async () => {
    const socket = await ready("/", options);
    const { id } = socket;
    let pings = 0;
    socket.io.on("ping", () => pings++);
    await sleep(1600);
    assert.equal(socket.id, id);
    assert.ok(pings >= 3, `${pings} pings in 1.6 s`);
    assert.equal(await ask(socket, "sum", 1, 2), 3);
  });

  it("a busy connection is not cut off", async () => {
    const socket = await ready("/", options);
    const { id } = socket;
    const end = Date.now() + 1200;
    while (Date.now() < end) assert.equal(await ask(socket, "echo-ack", "x".repeat(10_000)).then((t) => t.length), 10_000);
    assert.equal(socket.id, id);
  });

  it("a client that no longer answers pings is dropped", async () => {
    const socket = await ready("/", options);
    const { id } = socket;
    const witness = await ready("/", { transports: ["websocket"] });
    // The client stays silent: its engine sends no packet any more.
    socket.io.engine.sendPacket = () => {};
    socket.io.engine._sendPacket = () => {};
    const gone = next(socket, "disconnect", 3000);
    const seen = await until(async () => {
      const record = await ask(witness, "observed", id);
      return record.reason ? record : null;
    }, "the server drops it", 3000);
    assert.equal(seen.reason, "ping timeout");
    const [reason] = await gone;
    assert.ok(["transport close", "transport error", "ping timeout"].includes(reason), `${transport}: ${reason}`);
  });
});
