// Clients of Socket.IO 2 and 4 in one room.
"use strict";

const assert = require("node:assert/strict");
const { describe } = require("node:test");
const { ask, collect, it, next, ready, until } = require("./helpers.js");
const { WAYS, ask2, ready2 } = require("./v2_helpers.js");

let rooms = 0;

for (const [name, way] of Object.entries(WAYS)) {
  describe(name, () => {
    it("a broadcast reaches both, in order, and not its sender", async () => {
      const room = `mixed-${name}-${rooms++}`;
      const [old, old2] = [await ready2("/", way), await ready2("/", way)];
      const modern = [await ready("/", { transports: ["websocket"] }), await ready("/", { transports: ["polling"] })];
      for (const socket of [old, old2]) assert.equal(await ask2(socket, "join", room), "joined");
      for (const socket of modern) assert.equal(await ask(socket, "join", room), "joined");
      const heard = [old, old2, ...modern].map((socket) => collect(socket, "said"));
      for (let i = 0; i < 20; i++) await ask2(old, "to-room", room, "said", `${i} é🎉`);
      await ask2(old, "in-room", room, "said", "end");
      await ask(modern[0], "in-room", room, "said", "really");
      const list = Array.from({ length: 20 }, (_, i) => `${i} é🎉`);
      await until(() => heard.every((list) => list.at(-1) === "really"), "the last one");
      assert.deepEqual(heard, [["end", "really"], ...Array(3).fill([...list, "end", "really"])]);
    });

    it("bytes are broadcast both ways", async () => {
      const room = `bytes-${name}-${rooms++}`;
      const [old, modern] = [await ready2("/", way), await ready("/", { transports: ["websocket"] })];
      const other = await ready("/", { transports: ["polling"] });
      await ask2(old, "join", room);
      for (const socket of [modern, other]) await ask(socket, "join", room);
      const blob = Buffer.from([0, 4, 255, 30]);
      let heard = [modern, other].map((socket) => next(socket, "picture"));
      await ask2(old, "to-room-binary", room, "picture", blob);
      for (const [picture] of await Promise.all(heard)) assert.deepEqual([...Buffer.from(picture.blob)], [...blob]);
      heard = [old, other].map((socket) => next(socket, "picture"));
      await ask(modern, "to-room-binary", room, "picture", blob);
      for (const [picture] of await Promise.all(heard)) assert.deepEqual([...Buffer.from(picture.blob)], [...blob]);
    });

    it("a room of both is asked", async () => {
      const room = `asked-${name}-${rooms++}`;
      const [old, modern] = [await ready2("/", way), await ready("/", { transports: ["websocket"] })];
      await ask2(old, "join", room);
      await ask(modern, "join", room);
      old.on("question", (value, answer) => answer(`${value} old`));
      modern.on("question", (value, answer) => answer(`${value} modern`));
      assert.deepEqual(await ask(modern, "ask-room", room, "who", 2000), { answers: ["who modern", "who old"], complete: true });
    });

    it("a client of Socket.IO 2 leaves a room", async () => {
      const room = `left-${name}-${rooms++}`;
      const [old, modern] = [await ready2("/", way), await ready("/", { transports: ["websocket"] })];
      await ask2(old, "join", room);
      await ask2(old, "leave", room);
      const heard = collect(old, "said");
      await ask(modern, "in-room", room, "said", 1);
      assert.equal((await ask2(old, "rooms")).length, 1);
      assert.deepEqual(heard, []);
    });
  });
}
