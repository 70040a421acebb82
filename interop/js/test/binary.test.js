// Binary data at any depth, both ways, next to JSON of every shape.
"use strict";

const assert = require("node:assert/strict");
const { randomBytes } = require("node:crypto");
const { ask, collect, it, next, overEach, ready, until, within } = require("./helpers.js");

const ALL_BYTES = Buffer.from(Array.from({ length: 256 }, (_, i) => i));

// Buffers, typed arrays and ArrayBuffers all arrive as bytes: compare the bytes.
function plain(value) {
  if (value instanceof ArrayBuffer) return { bytes: Buffer.from(value).toString("hex") };
  if (ArrayBuffer.isView(value)) {
    return { bytes: Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("hex") };
  }
  if (Array.isArray(value)) return value.map(plain);
  if (value && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]));
  }
  return value;
}

const SHAPES = {
  "one buffer": [ALL_BYTES],
  "an empty buffer": [Buffer.alloc(0)],
  "lengths around a base64 group": [Buffer.from([1]), Buffer.from([1, 2]), Buffer.from([1, 2, 3]), Buffer.from([1, 2, 3, 4])],
  "an ArrayBuffer and typed arrays": [new Uint8Array([1, 2]).buffer, new Uint8Array([3, 4]), new Float64Array([0.5])],
  "a view into a larger buffer": [ALL_BYTES.subarray(16, 48)],
  "buffers between other arguments": [1, Buffer.from("a"), "two", Buffer.from("b"), null],
  "buffers in a list": [[Buffer.from("a"), [Buffer.from("b"), [Buffer.from("c")]]]],
  "buffers deep in an object": [{ a: { b: [{ c: { d: Buffer.from("deep") } }] }, e: Buffer.from("e"), f: 1 }],
  "ten attachments": [Array.from({ length: 10 }, (_, i) => Buffer.alloc(i, i))],
  "the same buffer twice": [ALL_BYTES, ALL_BYTES],
};

overEach((options) => {
  for (const [title, args] of Object.entries(SHAPES)) {
    it(`${title}: comes back as an event`, async () => {
      const socket = await ready("/", options);
      const heard = next(socket, "echo");
      socket.emit("echo", ...args);
      assert.deepEqual(plain(await heard), plain(args));
    });

    it(`${title}: comes back as an acknowledgement`, async () => {
      const socket = await ready("/", options);
      const back = within(new Promise((resolve) => socket.emit("echo-ack", ...args, (...all) => resolve(all))), "answer");
      assert.deepEqual(plain(await back), plain(args));
    });
  }

  it("a typed handler reads and answers binary inside a structure", async () => {
    const socket = await ready("/", options);
    const answer = await ask(socket, "typed", {
      name: "größe",
      count: 41,
      tags: ["a", "b"],
      blob: ALL_BYTES,
      inner: { blobs: [Buffer.from("first"), Buffer.alloc(0), Buffer.from("last")] },
    });
    assert.deepEqual(
      plain(answer),
      plain({
        name: "größe",
        count: 42,
        tags: ["a", "b"],
        note: null,
        blob: ALL_BYTES,
        inner: { blobs: [Buffer.from("last"), Buffer.alloc(0), Buffer.from("first")] },
      }),
    );
  });

  it("a client answers the server with binary", async () => {
    const socket = await ready("/", options);
    socket.on("question", (blob, answer) => answer(Buffer.from(blob).reverse()));
    const back = await ask(socket, "server-ask-binary", Buffer.from("abc"));
    assert.deepEqual(plain(back), plain(Buffer.from("cba")));
  });

  it("half a megabyte of noise survives", async () => {
    const socket = await ready("/", options);
    const noise = randomBytes(500_000);
    const back = await ask(socket, "echo-ack", noise);
    assert.ok(Buffer.from(back).equals(noise));
  });

  it("binary and text events keep their common order", async () => {
    const socket = await ready("/", options);
    const heard = collect(socket, "echo");
    for (let i = 0; i < 200; i++) {
      socket.emit("echo", i % 3 === 0 ? Buffer.from([i]) : i % 3 === 1 ? { n: i, blob: [Buffer.from([i])] } : i);
    }
    await until(() => heard.length >= 200, "200 echoes");
    const numbers = heard.map((item) => (typeof item === "number" ? item : "n" in item ? item.n : Buffer.from(item)[0]));
    assert.deepEqual(numbers, Array.from({ length: 200 }, (_, i) => i));
  });
});

it("a client that forces base64 is understood over WebSocket", async () => {
  const socket = await ready("/", { transports: ["websocket"], forceBase64: true });
  const back = await ask(socket, "echo-ack", ALL_BYTES);
  assert.ok(Buffer.from(back).equals(ALL_BYTES));
});
