// Namespaces that exist because clients ask for them.
"use strict";

const assert = require("node:assert/strict");
const { ask, client, collect, connected, it, next, overEach, ready, until } = require("./helpers.js");

const invalid = (socket) => assert.rejects(connected(socket), { message: "Invalid namespace" });

overEach((options, transport) => {
  it("names that match a pattern", async () => {
    const one = await ready("/dyn-1", options);
    const two = await ready("/dyn-22", options);
    assert.equal(await ask(one, "where"), "/dyn-1");
    assert.equal(await ask(two, "where"), "/dyn-22");
    assert.deepEqual(await ask(two, "echo-ack", { a: [1] }), { a: [1] });
  });

  it("other names", async () => {
    for (const name of ["/dyn-", "/dyn-x", "/dyn-1x", "/dyn", "/x/dyn-1"]) await invalid(client(name, options));
  });

  it("the server is asked, with auth", async () => {
    // It is asked about namespaces that do not exist yet only.
    const name = `/ask-${transport}`;
    await invalid(client(name, options));
    await invalid(client(name, { ...options, auth: { token: "guess" } }));
    await invalid(client("/question-1", { ...options, auth: { token: "secret" } }));
    const socket = client(name, { ...options, auth: { token: "secret" } });
    await connected(socket);
    assert.equal(await ask(socket, "where"), `asked for ${name}`);
  });
});

it("an event to all namespaces of one kind", async () => {
  const names = ["/dyn-901", "/dyn-902", "/dyn-903"];
  const sockets = await Promise.all(names.map((name) => ready(name, { transports: ["websocket"] })));
  const told = sockets.map((socket) => collect(socket, "told"));
  await ask(sockets[0], "tell-all", "everyone");
  await until(() => told.every((list) => list.length === 1), "everyone is told");
  assert.deepEqual(told, names.map(() => ["everyone"]));
});

it("an event to a room in all namespaces of one kind", async () => {
  const names = ["/dyn-911", "/dyn-911", "/dyn-912", "/dyn-913"];
  const sockets = await Promise.all(names.map((name) => ready(name, { transports: ["websocket"], forceNew: true })));
  const told = sockets.map((socket) => collect(socket, "told"));
  for (const socket of [sockets[0], sockets[2]]) await ask(socket, "join", "some");
  await ask(sockets[0], "tell-room", "some", "you");
  await ask(sockets[0], "tell-others", "some", "others");
  await ask(sockets[0], "tell-all", "end");
  await until(() => told.every((list) => list.includes("end")), "everyone is told");
  assert.deepEqual(told, [["you", "end"], ["others", "end"], ["you", "end"], ["others", "end"]]);
});

it("clients that come at the same time are in one namespace", async () => {
  const auth = { token: "secret" };
  const sockets = Array.from({ length: 10 }, () => client("/ask-together", { transports: ["websocket"], auth }));
  await Promise.all(sockets.map(connected));
  const answers = await Promise.all(sockets.map((socket) => ask(socket, "where")));
  assert.deepEqual(new Set(answers), new Set(["asked for /ask-together"]));
});

it("several of them over one connection", async () => {
  const first = await ready("/dyn-31", { transports: ["websocket"] });
  const second = first.io.socket("/dyn-32");
  await next(second, "connect");
  assert.equal(await ask(second, "where"), "/dyn-32");
  const gone = next(second, "disconnect");
  second.disconnect();
  await gone;
  assert.equal(await ask(first, "where"), "/dyn-31");
});
