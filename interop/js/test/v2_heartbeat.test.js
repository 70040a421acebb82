// Heartbeats of revision 3, where the client pings: every 300 ms here, and the server waits 600 ms longer.
"use strict";

const assert = require("node:assert/strict");
const { describe } = require("node:test");
const { ask, it, next, ready, sleep, until } = require("./helpers.js");
const { WAYS, ask2, idAtServer, ready2 } = require("./v2_helpers.js");

for (const [name, way] of Object.entries(WAYS)) {
  describe(name, () => {
    it("an idle connection lives on heartbeats", async () => {
      const socket = await ready2("/", way);
      const { id } = socket;
      let [pings, pongs] = [0, 0];
      socket.io.on("ping", () => pings++);
      socket.io.on("pong", () => pongs++);
      await sleep(2200);
      assert.equal(socket.id, id);
      assert.ok(pings >= 3 && pongs >= 3, `${pings} pings and ${pongs} pongs in 2.2 s`);
      assert.equal(await ask2(socket, "sum", 1, 2), 3);
    });

    // The reference never times a session out that has upgraded: it forgets the timer.
    if (name === "upgrade") return;

    it("a client that does not ping is dropped", async () => {
      const socket = await ready2("/", way);
      const witness = await ready("/", { transports: ["websocket"] });
      const id = await idAtServer(socket);
      const gone = next(socket, "disconnect", 3000);
      // It neither pings nor gives up by itself, which would be at the same moment.
      const { engine } = socket.io;
      engine.sendPacket = engine.setPing = () => {};
      engine.off("heartbeat");
      clearTimeout(engine.pingIntervalTimer);
      clearTimeout(engine.pingTimeoutTimer);
      const seen = await until(async () => {
        const record = await ask(witness, "observed", id);
        return record.reason ? record : null;
      }, "the server drops it", 3000);
      assert.equal(seen.reason, "ping timeout");
      const [reason] = await gone;
      assert.ok(["transport close", "transport error", "ping timeout"].includes(reason), reason);
    });
  });
}
