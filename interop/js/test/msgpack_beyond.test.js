// MessagePack where our server does more than the reference, or something else: handlers get what they get with JSON; and clients of
// Socket.IO 2 with version 2 of socket.io-msgpack-parser are served beside those of Socket.IO 4.
"use strict";

process.env.SIO_PARSER = "msgpack";

const assert = require("node:assert/strict");
const { describe } = require("node:test");
const parser = require("socket.io-msgpack-parser-2");
const { ask, it, next, overEach, ready, within } = require("./helpers.js");
const { WAYS, ask2, askAll2, client2, connected2, ready2 } = require("./v2_helpers.js");

overEach((options) => {
  it("what JSON cannot hold arrives as JSON would write it", async () => {
    const socket = await ready("/", options);
    const heard = next(socket, "echo");
    const when = new Date(1785499445678);
    socket.emit("echo", undefined, NaN, when, { at: when, gone: undefined, list: [undefined] });
    const iso = "2026-07-31T12:04:05.678Z";
    assert.deepEqual(await heard, [null, null, iso, { at: iso, list: [null] }]);
  });
});

for (const [name, way] of Object.entries(WAYS)) {
  describe(name, () => {
    const options = { ...way, parser };

    it("events, bytes and answers go there and back", async () => {
      const socket = await ready2("/", options);
      const args = [null, true, -17, 0.5, 300, "é🎉", [], { deep: [Buffer.from("abc")] }, Buffer.from([0, 255])];
      const heard = next(socket, "echo");
      socket.emit("echo", ...args);
      assert.deepEqual(await heard, args);
      assert.deepEqual(await askAll2(socket, "echo-ack", ...args), args);
      socket.on("question", (value, answer) => answer(value));
      assert.deepEqual(await ask2(socket, "server-ask", "é", 2000), { answer: "é" });
    });

    it("namespaces are joined, with what stands for auth, refused and left", async () => {
      const socket = await ready2("/auth?token=secret&name=Ann", options);
      assert.equal(await ask2(socket, "whoami"), "Ann");
      socket.disconnect();
      const unknown = client2("/unknown", options);
      assert.equal(await connected2(unknown).catch((error) => error), "Invalid namespace");
    });

    it("both generations meet in a room", async () => {
      const old = await ready2("/", options);
      const young = await ready("/");
      assert.equal(await ask2(old, "join", `room ${name}`), "joined");
      const heard = next(old, "said");
      assert.equal(await ask(young, "to-room-binary", `room ${name}`, "said", Buffer.from("ab")), "sent");
      const [{ blob }] = await heard;
      assert.deepEqual([...Buffer.from(blob)], [...Buffer.from("ab")]);
      const left = within(new Promise((resolve) => old.once("disconnect", resolve)), "the end");
      old.emit("bye");
      assert.equal(await left, "io server disconnect");
    });
  });
}
