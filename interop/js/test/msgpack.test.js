// Packets as MessagePack, by socket.io-msgpack-parser: what is tested of JSON holds, and what only MessagePack has.
"use strict";

process.env.SIO_PARSER = "msgpack";
require("./events.test.js");
require("./binary.test.js");
require("./acks.test.js");
require("./namespaces.test.js");
require("./dynamic.test.js");
require("./rooms.test.js");
require("./disconnect.test.js");
require("./reconnect.test.js");

const assert = require("node:assert/strict");
const parser = require("socket.io-msgpack-parser");
const { ask, client, it, next, overEach, ready, within } = require("./helpers.js");

// What the client gets as WebSocket messages and polling packets is not looked at elsewhere.
function packets(socket) {
  const list = [];
  socket.io.engine.on("packet", (packet) => packet.type === "message" && list.push(packet.data));
  return list;
}

overEach((options) => {
  it("numbers around the borders of their forms", async () => {
    const socket = await ready("/", options);
    const borders = [0, 31, 32, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1];
    const numbers = [...borders, ...borders.map((number) => -number - 1), 0.1, -1.5, 5e-324];
    assert.deepEqual(await ask(socket, "echo-ack", numbers), numbers);
  });

  it("lists, objects and strings around the borders of their forms", async () => {
    const socket = await ready("/", options);
    for (const length of [0, 15, 16, 31, 32, 255, 256, 65535, 65536]) {
      const text = "x".repeat(length);
      assert.equal(await ask(socket, "echo-ack", text), text);
      const list = Array.from({ length: Math.min(length, 20_000) }, (_, i) => i);
      assert.deepEqual(await ask(socket, "echo-ack", list), list);
      const object = Object.fromEntries(list.slice(0, 1000).map((i) => [`k${i}`, i]));
      assert.deepEqual(await ask(socket, "echo-ack", object), object);
      const bytes = Buffer.alloc(length, 7);
      assert.deepEqual(Buffer.from(await ask(socket, "echo-ack", { bytes }).then((value) => value.bytes)), bytes);
    }
  });

  it("a packet with binary data is one message", async () => {
    const socket = await ready("/", options);
    const seen = packets(socket);
    const heard = next(socket, "echo");
    socket.emit("echo", { deep: [Buffer.from("abc")] }, Buffer.from("d"));
    await heard;
    assert.equal(seen.length, 1);
    const decoder = new parser.Decoder();
    const decoded = within(new Promise((resolve) => decoder.on("decoded", resolve)), "a packet");
    decoder.add(seen[0]);
    const { type, nsp, data } = await decoded;
    assert.deepEqual([type, nsp, data[0]], [2, "/", "echo"]);
  });
});

it("a client that speaks JSON is sent away", async () => {
  const socket = client("/", { parser: require("socket.io-parser") });
  const reason = await within(new Promise((resolve) => socket.io.on("close", resolve)), "the end");
  assert.equal(reason, "transport close");
  assert.equal(socket.connected, false);
});
