// Why a connection ended, as told on both sides.
"use strict";

const assert = require("node:assert/strict");
const { Manager } = require("socket.io-client");
const { URL, ask, client, connected, it, next, overEach, ready, until } = require("./helpers.js");

// What the server recorded of a socket that has gone, asked by another client.
async function reasonOnServer(id) {
  const witness = await ready("/", { transports: ["websocket"] });
  const seen = await until(async () => {
    const record = await ask(witness, "observed", id);
    return record.reason ? record : null;
  }, `the server's reason for ${id}`);
  assert.equal(seen.connected, false);
  return seen.reason;
}

overEach((options, transport) => {
  it("the client leaves", async () => {
    const socket = await ready("/", options);
    const { id } = socket;
    const gone = next(socket, "disconnect");
    socket.disconnect();
    assert.equal((await gone)[0], "io client disconnect");
    assert.equal(socket.id, undefined);
    assert.equal(await reasonOnServer(id), "client namespace disconnect");
  });

  it("the server makes it leave the namespace", async () => {
    const socket = await ready("/", options);
    const { id } = socket;
    const gone = next(socket, "disconnect");
    socket.emit("bye");
    assert.equal((await gone)[0], "io server disconnect");
    assert.equal(socket.active, false);
    assert.equal(await reasonOnServer(id), "server namespace disconnect");
  });

  it("the server makes it leave one namespace of two", async () => {
    const manager = new Manager(URL, { ...options, reconnection: false });
    const [root, news] = [manager.socket("/"), manager.socket("/news")];
    try {
      await Promise.all([connected(root), connected(news)]);
      const gone = next(news, "disconnect");
      news.emit("bye");
      assert.equal((await gone)[0], "io server disconnect");
      assert.equal(await ask(root, "sum", 1, 2), 3);
    } finally {
      manager._close();
    }
  });

  it("the server ends the whole connection", async () => {
    const manager = new Manager(URL, { ...options, reconnection: false });
    const [root, news] = [manager.socket("/"), manager.socket("/news")];
    try {
      await Promise.all([connected(root), connected(news)]);
      const ids = [root.id, news.id];
      const gone = Promise.all([next(root, "disconnect"), next(news, "disconnect"), next(manager, "close")]);
      root.emit("bye-all");
      const [[ofRoot], [ofNews]] = await gone;
      assert.deepEqual([ofRoot, ofNews], ["io server disconnect", "io server disconnect"]);
      for (const id of ids) assert.equal(await reasonOnServer(id), "server namespace disconnect");
    } finally {
      manager._close();
    }
  });

  it("the client's connection closes without a word of the namespace", async () => {
    const socket = await ready("/", options);
    const { id } = socket;
    const gone = next(socket, "disconnect");
    socket.io.engine.close();
    assert.equal((await gone)[0], "forced close");
    // Over HTTP a running poll is aborted first, or the packet "1" arrives first: both are seen.
    const reason = await reasonOnServer(id);
    const wanted = transport === "polling" ? ["transport close", "transport error"] : ["transport close"];
    assert.ok(wanted.includes(reason), reason);
  });

  it("a client that was made to leave may come back", async () => {
    const socket = await ready("/", options);
    const first = socket.id;
    const gone = next(socket, "disconnect");
    socket.emit("bye");
    await gone;
    socket.connect();
    await connected(socket);
    assert.notEqual(socket.id, first);
    assert.equal(await ask(socket, "sum", 1, 2), 3);
  });

  it("a question that is open when the connection ends fails at once", async () => {
    const socket = await ready("/", options);
    const open = socket.timeout(10_000).emitWithAck("nobody answers");
    socket.emit("bye");
    await assert.rejects(open, /disconnected/);
  });

  it("a message larger than the limit ends this connection alone", async () => {
    const [bad, good] = await Promise.all([ready("/", options), ready("/", options)]);
    const { id } = bad;
    const gone = next(bad, "disconnect");
    bad.emit("echo", "x".repeat(1_200_000));
    const [reason] = await gone;
    // HTTP answers 413, WebSocket closes with 1009.
    assert.equal(reason, transport === "polling" ? "transport error" : "transport close");
    assert.equal(await ask(good, "sum", 1, 2), 3);
    // Over HTTP the server refused one request and keeps the session until its poll ends or the ping times out.
    if (transport !== "polling") assert.equal(await reasonOnServer(id), "transport error");
  });
});

it("a client that goes away while it connects leaves nothing behind", async () => {
  const witness = await ready("/", { transports: ["websocket"] });
  const before = await ask(witness, "counts");
  for (let i = 0; i < 20; i++) {
    const socket = client("/slow", { transports: [i % 2 ? "websocket" : "polling"] });
    socket.io.on("open", () => socket.io.engine.close());
    await next(socket.io, "close");
  }
  await new Promise((resolve) => setTimeout(resolve, 600));
  assert.equal((await ask(witness, "counts")).connected, before.connected);
});
