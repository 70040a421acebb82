// The client of Socket.IO 2: events, bytes, acknowledgements, namespaces and ends, over each of its transports.
"use strict";

const assert = require("node:assert/strict");
const { describe } = require("node:test");
const { ask, collect, it, next, ready, until } = require("./helpers.js");
const { WAYS, ask2, askAll2, client2, connected2, idAtServer, ready2 } = require("./v2_helpers.js");

const SHAPES = {
  "no argument": [],
  "values of all kinds": [null, true, -17, 0.5, "", [], {}, [1, [2, { a: [null] }]]],
  "quotes, backslashes and control characters": ['"\\/\b\f\n\r\t\u0000\u001f\u007f', "\\n", "\\\\n", "\n\\n"],
  "separator characters of the protocols": ["\u001e", "1:2", "1-/a,0[]", "b4AAAA", "\u2028\u2029", "a+b&d=%25"],
  "text beyond ASCII": ["é ü ß", "中文字", "עברית", "Ω≈ç√"],
  "text beyond the first plane": ["🎉👩‍👩‍👧‍👦", "\u{1d11e}", "𐍈"],
  "a large string": ["ab🎉é".repeat(20_000)],
};

const BYTES = {
  "no byte": Buffer.from([]),
  "one byte": Buffer.from([4]),
  "all bytes": Buffer.from(Array.from({ length: 256 }, (_, i) => i)),
  "many bytes": Buffer.alloc(100_000, 0xff),
};

for (const [name, way] of Object.entries(WAYS)) {
  describe(name, () => {
    for (const [title, args] of Object.entries(SHAPES)) {
      it(`${title}: there and back`, async () => {
        const socket = await ready2("/", way);
        const heard = next(socket, "echo");
        socket.emit("echo", ...args);
        assert.deepEqual(await heard, args);
        assert.deepEqual(await askAll2(socket, "echo-ack", ...args), args);
      });
    }

    for (const [title, bytes] of Object.entries(BYTES)) {
      it(`${title}: there and back`, async () => {
        const socket = await ready2("/", way);
        const heard = next(socket, "echo");
        socket.emit("echo", { deep: [bytes, "é🎉"] }, bytes);
        const [{ deep }, again] = await heard;
        assert.deepEqual([...Buffer.from(deep[0])], [...bytes]);
        assert.equal(deep[1], "é🎉");
        assert.deepEqual([...Buffer.from(again)], [...bytes]);
        const [answer, text] = await askAll2(socket, "echo-ack", bytes, "é");
        assert.deepEqual([...Buffer.from(answer)], [...bytes]);
        assert.equal(text, "é");
      });
    }

    it("a thousand events keep their order, both ways", async () => {
      const socket = await ready2("/", way);
      const heard = collect(socket, "echo");
      const ticks = collect(socket, "tick");
      for (let i = 0; i < 1000; i++) socket.emit("echo", i);
      assert.equal(await ask2(socket, "burst", 500), 500);
      await until(() => heard.length >= 1000 && ticks.length >= 500, "all of them");
      assert.deepEqual(heard, Array.from({ length: 1000 }, (_, i) => i));
      assert.deepEqual(ticks, Array.from({ length: 500 }, (_, i) => i));
    });

    it("events sent before the connection stands are not lost, nor is their order", async () => {
      const socket = client2("/", way);
      const heard = collect(socket, "echo");
      for (let i = 0; i < 50; i++) socket.emit("echo", i);
      await connected2(socket);
      for (let i = 50; i < 100; i++) socket.emit("echo", i);
      await until(() => heard.length >= 100, "100 echoes");
      assert.deepEqual(heard, Array.from({ length: 100 }, (_, i) => i));
    });

    it("the server asks, with text and with bytes", async () => {
      const socket = await ready2("/", way);
      socket.on("question", (value, answer) => answer(value));
      assert.deepEqual(await ask2(socket, "server-ask", "é🎉", 2000), { answer: "é🎉" });
      const blob = Buffer.from([4, 0, 255]);
      assert.deepEqual([...Buffer.from(await ask2(socket, "server-ask-binary", blob))], [...blob]);
      socket.off("question");
      assert.deepEqual(await ask2(socket, "server-ask", 1, 50), { error: "timeout" });
    });

    it("answers of several values and of none", async () => {
      const socket = await ready2("/", way);
      assert.deepEqual(await askAll2(socket, "pair", 1), [1, "second"]);
      assert.deepEqual(await askAll2(socket, "nothing"), []);
    });

    it("several namespaces over one connection", async () => {
      const root = await ready2("/", way);
      const news = root.io.socket("/news");
      const [welcome] = await next(news, "welcome");
      assert.equal(typeof welcome, "string");
      assert.equal(news.id, `/news#${root.id}`, "made by the client (B76)");
      assert.deepEqual(await ask2(news, "echo-ack", "in news"), "in news");
      assert.deepEqual(await ask2(root, "echo-ack", "in the root"), "in the root");
      const published = next(news, "published");
      assert.equal(await ask2(news, "publish", { a: 1 }), "sent");
      assert.deepEqual(await published, [{ a: 1 }]);
      const left = next(news, "disconnect");
      news.emit("bye");
      assert.deepEqual(await left, ["io server disconnect"]);
      assert.equal(await ask2(root, "echo-ack", "still here"), "still here");
    });

    it("the query of a namespace takes the place of auth", async () => {
      const socket = client2("/auth", { ...way, query: { token: "secret", name: "Ann é & Co" } });
      await connected2(socket);
      assert.equal(await ask2(socket, "whoami"), "Ann é & Co");
    });

    it("a refusal by a middleware arrives as the data of the error", async () => {
      const root = await ready2("/", way);
      const refused = root.io.socket("/auth", { query: { token: "wrong", name: "Eve" } });
      const [error] = await next(refused, "error");
      assert.deepEqual(error, { code: 401, token: "wrong", name: "Eve" });
      assert.equal(refused.connected, false);
      assert.equal(await ask2(root, "sum", 1, 2), 3, "the connection stays");
    });

    it("an unknown namespace is refused", async () => {
      const root = await ready2("/", way);
      const [error] = await next(root.io.socket("/nowhere"), "error");
      // The reference says it in an object, unlike its own refusals by middlewares.
      assert.equal(error.message ?? error, "Invalid namespace");
      assert.equal(await ask2(root, "sum", 1, 2), 3, "the connection stays");
    });

    it("the server sends a client away", async () => {
      const socket = await ready2("/", way);
      const left = next(socket, "disconnect");
      socket.emit("bye");
      assert.deepEqual(await left, ["io server disconnect"]);
    });

    it("the server closes the whole connection", async () => {
      const socket = await ready2("/", way);
      const left = next(socket, "disconnect");
      socket.emit("bye-all");
      await left;
      await until(() => socket.io.engine.readyState === "closed", "the end of the connection");
    });

    it("the server learns that a client leaves", async () => {
      const witness = await ready("/", { transports: ["websocket"] });
      const socket = await ready2("/", way);
      const id = await idAtServer(socket);
      assert.equal((await ask(witness, "observed", id)).connected, true);
      socket.disconnect();
      const seen = await until(async () => {
        const record = await ask(witness, "observed", id);
        return record.connected ? null : record;
      }, "the server sees it");
      // The packet and the end of the connection come at once; polling has them in one payload.
      assert.ok(["client namespace disconnect", "transport close"].includes(seen.reason), seen.reason);
    });

    it("the server learns that a connection is lost", async () => {
      const witness = await ready("/", { transports: ["websocket"] });
      const socket = await ready2("/", way);
      const id = await idAtServer(socket);
      socket.io.engine.close();
      const seen = await until(async () => {
        const record = await ask(witness, "observed", id);
        return record.connected ? null : record;
      }, "the server sees it");
      assert.equal(seen.reason, "transport close");
    });
  });
}
