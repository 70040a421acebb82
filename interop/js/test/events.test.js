// Events of every JSON shape arrive as they were sent, in order, both ways.
"use strict";

const assert = require("node:assert/strict");
const { MSGPACK, ask, client, collect, connected, it, itInJson, next, overEach, ready, until } = require("./helpers.js");

const SHAPES = {
  "no argument": [],
  "null": [null],
  "true and false": [true, false],
  "zero": [0],
  "a negative number": [-17],
  "a fraction": [0.1, -2.5e-7],
  "a large number": [...(MSGPACK ? [] : [1e21]), 9007199254740991, -9007199254740991],
  "an empty string": [""],
  "a string": ["hello"],
  "quotes, backslashes and control characters": ['"\\/\b\f\n\r\t\u0000\u001f\u007f'],
  "separator characters of the protocol": ["\u001e", "1-/a,0[]", "b4AAAA", "\u2028\u2029"],
  "text beyond ASCII": ["é ü ß", "中文字", "עברית", "Ω≈ç√"],
  "text beyond the first plane": ["🎉👩‍👩‍👧‍👦", "\u{1d11e}", "𐍈"],
  "an empty list and an empty object": [[], {}],
  "nested lists": [[1, [2, [3, [4, [null]]]]]],
  "a nested object": [{ a: { b: { c: { d: [1, { e: null }] } } }, "": 0, "ключ": "значение" }],
  "keys that JavaScript knows": [{ constructor: 1, hasOwnProperty: 2, toString: 3, length: 4 }],
  "an object that looks like a placeholder": [{ _placeholder: true, num: 0 }],
  "several arguments of several shapes": [1, "two", [3], { four: 4 }, null, true, 5.5],
  "many arguments": Array.from({ length: 100 }, (_, i) => i),
};

overEach((options) => {
  for (const [title, args] of Object.entries(SHAPES)) {
    it(`${title} comes back as an event`, async () => {
      const socket = await ready("/", options);
      const heard = next(socket, "echo");
      socket.emit("echo", ...args);
      assert.deepEqual(await heard, args);
    });
  }

  itInJson("a value that JSON cannot hold arrives as the encoder writes it", async () => {
    const socket = await ready("/", options);
    const heard = next(socket, "echo");
    const when = new Date(0);
    socket.emit("echo", undefined, NaN, when, { at: when, gone: undefined, list: [undefined] });
    assert.deepEqual(await heard, [null, null, when.toISOString(), { at: when.toISOString(), list: [null] }]);
  });

  itInJson("own keys of the name __proto__ stay data", async () => {
    const socket = await ready("/", options);
    const heard = next(socket, "echo");
    socket.emit("echo", JSON.parse('{"__proto__":{"polluted":true},"plain":1}'));
    const [value] = await heard;
    assert.equal(value.plain, 1);
    assert.equal(Object.getOwnPropertyDescriptor(value, "__proto__").value.polluted, true);
    assert.equal({}.polluted, undefined);
  });

  it("a thousand events keep their order, both ways", async () => {
    const socket = await ready("/", options);
    const heard = collect(socket, "echo");
    for (let i = 0; i < 1000; i++) socket.emit("echo", i);
    await until(() => heard.length >= 1000, "1000 echoes");
    assert.deepEqual(heard, Array.from({ length: 1000 }, (_, i) => i));
  });

  it("a burst from the server keeps its order and comes before the answer", async () => {
    const socket = await ready("/", options);
    const ticks = collect(socket, "tick");
    assert.equal(await ask(socket, "burst", 500), 500);
    assert.deepEqual(ticks, Array.from({ length: 500 }, (_, i) => i));
  });

  it("events sent before the connection stands are not lost, nor is their order", async () => {
    const socket = client("/", options);
    const heard = collect(socket, "echo");
    for (let i = 0; i < 50; i++) socket.emit("echo", i);
    await connected(socket);
    for (let i = 50; i < 100; i++) socket.emit("echo", i);
    await until(() => heard.length >= 100, "100 echoes");
    assert.deepEqual(heard, Array.from({ length: 100 }, (_, i) => i));
  });

  itInJson("a string close to the limit of a message arrives whole", async () => {
    const socket = await ready("/", options);
    const text = "ab€".repeat(199_000); // 995,000 bytes
    const heard = next(socket, "echo");
    socket.emit("echo", text);
    const [back] = await heard;
    assert.ok(back === text, `${back.length} characters came back of ${text.length}`);
  });

  it("an answer larger than the limit for incoming messages arrives whole", async () => {
    const socket = await ready("/", options);
    const text = await ask(socket, "big", 3_000_000);
    assert.ok(text === "x".repeat(3_000_000), `${text.length} characters`);
  });

  it("an event without a listener reaches the catch-all listener of the server", async () => {
    const socket = await ready("/", options);
    socket.emit("nobody listens", 1);
    socket.emit("ünbekannt", { a: 1 });
    socket.emit("", "an empty name");
    const { any } = await ask(socket, "observed", socket.id);
    assert.deepEqual(any, ["nobody listens", "ünbekannt", "", "observed"]);
  });

  it("a listener of a name that JavaScript knows is called", async () => {
    const socket = await ready("/", options);
    for (const name of ["__proto__", "constructor", "toString", "hasOwnProperty"]) socket.emit(name, 1);
    const { any } = await ask(socket, "observed", socket.id);
    assert.deepEqual(any, ["__proto__", "constructor", "toString", "hasOwnProperty", "observed"]);
  });

  it("a handler that fails harms nobody", async () => {
    const socket = await ready("/", options);
    socket.emit("fail");
    await assert.rejects(socket.timeout(200).emitWithAck("fail"), /timed out/);
    assert.equal(await ask(socket, "echo-ack", "alive"), "alive");
  });
});
