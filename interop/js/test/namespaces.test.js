// Namespaces: several on one connection, accepted, refused, unknown.
"use strict";

const assert = require("node:assert/strict");
const { Manager } = require("socket.io-client");
const { URL, ask, client, connected, it, next, overEach, ready, within } = require("./helpers.js");

const refusal = (socket) => next(socket, "connect_error").then(([error]) => error);

overEach((options) => {
  it("each namespace gives an id of its own, twenty characters long", async () => {
    const manager = new Manager(URL, { ...options, reconnection: false });
    const [root, news] = [manager.socket("/"), manager.socket("/news")];
    try {
      await Promise.all([connected(root), connected(news)]);
      assert.match(root.id, /^[A-Za-z0-9_-]{20}$/);
      assert.match(news.id, /^[A-Za-z0-9_-]{20}$/);
      assert.notEqual(root.id, news.id);
      assert.notEqual(root.id, manager.engine.id);
      assert.notEqual(news.id, manager.engine.id);
    } finally {
      manager._close();
    }
  });

  it("namespaces on one connection do not mix, and close one by one", async () => {
    const manager = new Manager(URL, { ...options, reconnection: false });
    const [root, news] = [manager.socket("/"), manager.socket("/news")];
    try {
      const welcome = next(news, "welcome");
      await Promise.all([connected(root), connected(news)]);
      assert.deepEqual(await welcome, [news.id]);
      const stray = [];
      root.onAny((event) => stray.push(event));
      const published = next(news, "published");
      assert.equal(await ask(news, "publish", 7), "sent");
      assert.deepEqual(await published, [7]);

      news.disconnect();
      assert.equal(await ask(root, "sum", 1, 2), 3);
      const { reason } = await ask(root, "observed", news.id ?? "none");
      assert.equal(reason, null);
      assert.deepEqual(stray, []);

      const again = next(news, "welcome");
      news.connect();
      await connected(news);
      assert.deepEqual(await again, [news.id]);
    } finally {
      manager._close();
    }
  });

  it("good credentials are accepted and seen by the handlers", async () => {
    const socket = await ready("/auth", { ...options, auth: { token: "secret", name: "Zoë" } });
    assert.equal(await ask(socket, "whoami"), "Zoë");
  });

  it("credentials from a function are accepted", async () => {
    const auth = (answer) => setTimeout(() => answer({ token: "secret", name: "late" }), 20);
    const socket = await ready("/auth", { ...options, auth });
    assert.equal(await ask(socket, "whoami"), "late");
  });

  it("bad credentials are refused with a message and data", async () => {
    const error = await refusal(client("/auth", { ...options, auth: { token: "wrong", name: "x" } }));
    assert.equal(error.message, "not authorized");
    assert.deepEqual(error.data, { code: 401, token: "wrong", name: "x" });
  });

  it("no credentials are refused as well", async () => {
    const error = await refusal(client("/auth", options));
    assert.equal(error.message, "not authorized");
    assert.deepEqual(error.data, { code: 401, token: null, name: null });
  });

  it("a refused client does not come back by itself, but may try again", async () => {
    const socket = client("/auth", { ...options, auth: { token: "wrong" } });
    await refusal(socket);
    assert.equal(socket.active, false);
    socket.auth = { token: "secret", name: "second" };
    socket.connect();
    await connected(socket);
    assert.equal(await ask(socket, "whoami"), "second");
  });

  it("a refusal leaves the other namespaces of the connection alone", async () => {
    const manager = new Manager(URL, { ...options, reconnection: false });
    const root = manager.socket("/");
    try {
      await connected(root);
      const refused = manager.socket("/auth", { auth: { token: "wrong" } });
      assert.equal((await refusal(refused)).message, "not authorized");
      assert.equal(await ask(root, "sum", 20, 22), 42);
    } finally {
      manager._close();
    }
  });

  it("an unknown namespace is refused, and the connection goes on", async () => {
    const manager = new Manager(URL, { ...options, reconnection: false });
    const root = manager.socket("/");
    try {
      await connected(root);
      const error = await refusal(manager.socket("/nowhere"));
      assert.equal(error.message, "Invalid namespace");
      assert.equal(error.data, undefined);
      assert.equal(await ask(root, "sum", 20, 22), 42);
    } finally {
      manager._close();
    }
  });

  it("a slow middleware delays its own namespace only", async () => {
    const manager = new Manager(URL, { ...options, reconnection: false });
    const [slow, root] = [manager.socket("/slow"), manager.socket("/")];
    try {
      slow.emit("echo-ack", "early", () => {});
      await connected(root);
      assert.equal(slow.connected, false);
      await connected(slow);
      assert.equal(await ask(slow, "echo-ack", "hello"), "hello");
    } finally {
      manager._close();
    }
  });

  it("a name beyond ASCII is a name like any other", async () => {
    const manager = new Manager(URL, { ...options, reconnection: false });
    const socket = manager.socket("/größe-中");
    try {
      await connected(socket);
      assert.equal(await ask(socket, "echo-ack", { ok: 1 }).then((v) => v.ok), 1);
    } finally {
      manager._close();
    }
  });

  it("the server sees why a namespace was left", async () => {
    const manager = new Manager(URL, { ...options, reconnection: false });
    const [root, news] = [manager.socket("/"), manager.socket("/news")];
    try {
      await Promise.all([connected(root), connected(news)]);
      const { id } = news;
      news.disconnect();
      const seen = await within(ask(root, "observed", id), "observed");
      assert.equal(seen.reason, "client namespace disconnect");
      assert.equal(seen.connected, false);
    } finally {
      manager._close();
    }
  });
});
