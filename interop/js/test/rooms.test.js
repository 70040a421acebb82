// Rooms and broadcast: who hears what, and who does not.
"use strict";

const assert = require("node:assert/strict");
const { TRANSPORTS, ask, collect, it, next, overEach, ready } = require("./helpers.js");

let rooms = 0;
const room = (name) => `${name}-${process.pid}-${++rooms}`;

// Everything sent to these sockets so far has arrived when each has had an answer.
const settle = (...sockets) => Promise.all(sockets.map((socket) => ask(socket, "sum", 0, 0)));

overEach((options) => {
  const three = () => Promise.all([ready("/", options), ready("/", options), ready("/", options)]);

  it("a socket is in the room of its own id, and in those it joined", async () => {
    const socket = await ready("/", options);
    const name = room("r");
    assert.deepEqual(await ask(socket, "rooms"), [socket.id]);
    await ask(socket, "join", name);
    await ask(socket, "join", name);
    assert.deepEqual(await ask(socket, "rooms"), [socket.id, name].sort());
    await ask(socket, "leave", name);
    await ask(socket, "leave", "a room it never joined");
    assert.deepEqual(await ask(socket, "rooms"), [socket.id]);
  });

  it("socket.to(room) reaches the others in the room, once, and not the sender", async () => {
    const [a, b, c] = await three();
    const name = room("r");
    await Promise.all([ask(a, "join", name), ask(b, "join", name)]);
    const heard = [a, b, c].map((socket) => collect(socket, "said"));
    await ask(a, "to-room", name, "said", { text: "hi" });
    await settle(a, b, c);
    assert.deepEqual(heard, [[], [{ text: "hi" }], []]);
  });

  it("io.to(room) reaches the sender too", async () => {
    const [a, b, c] = await three();
    const name = room("r");
    await Promise.all([ask(a, "join", name), ask(b, "join", name)]);
    const heard = [a, b, c].map((socket) => collect(socket, "said"));
    await ask(a, "in-room", name, "said", 1);
    await settle(a, b, c);
    assert.deepEqual(heard, [[1], [1], []]);
  });

  it("a socket in several target rooms hears once", async () => {
    const [a, b, c] = await three();
    const names = [room("r"), room("r")];
    for (const name of names) await Promise.all([ask(a, "join", name), ask(b, "join", name)]);
    const heard = [a, b, c].map((socket) => collect(socket, "said"));
    await ask(c, "in-rooms", names, "said", 1);
    await settle(a, b, c);
    assert.deepEqual(heard, [[1], [1], []]);
  });

  it("except wins over to", async () => {
    const [a, b, c] = await three();
    const [name, without] = [room("r"), room("without")];
    await Promise.all([ask(a, "join", name), ask(b, "join", name), ask(b, "join", without)]);
    const heard = [a, b, c].map((socket) => collect(socket, "said"));
    await ask(c, "except-room", name, without, "said", 1);
    await settle(a, b, c);
    assert.deepEqual(heard, [[1], [], []]);
  });

  it("a socket can be reached by its id", async () => {
    const [a, b, c] = await three();
    const heard = [a, b, c].map((socket) => collect(socket, "private"));
    await ask(a, "to-room", b.id, "private", "psst");
    await settle(a, b, c);
    assert.deepEqual(heard, [[], ["psst"], []]);
  });

  it("a room that is empty, left or unknown is silence", async () => {
    const [a, b, c] = await three();
    const name = room("r");
    await ask(b, "join", name);
    await ask(b, "leave", name);
    const heard = [a, b, c].map((socket) => collect(socket, "said"));
    await ask(a, "in-room", name, "said", 1);
    await ask(a, "in-room", room("never"), "said", 1);
    await settle(a, b, c);
    assert.deepEqual(heard, [[], [], []]);
  });

  it("who left the server has left its rooms", async () => {
    const [a, b, c] = await three();
    const name = room("r");
    await Promise.all([ask(a, "join", name), ask(b, "join", name)]);
    const heard = [a, b, c].map((socket) => collect(socket, "said"));
    b.disconnect();
    await ask(a, "to-room", name, "said", 1);
    b.connect();
    await next(b, "connect");
    await ask(a, "to-room", name, "said", 2);
    await settle(a, b, c);
    assert.deepEqual(heard, [[], [], []]);
  });

  it("a broadcast reaches everybody but the sender; io.emit everybody", async () => {
    const [a, b, c] = await three();
    const name = room("event");
    const heard = [a, b, c].map((socket) => collect(socket, name));
    await ask(a, "broadcast", name, "others");
    await ask(a, "all", name, "all");
    await settle(a, b, c);
    assert.deepEqual(heard, [["all"], ["others", "all"], ["others", "all"]]);
  });

  it("broadcasts of one sender keep their order", async () => {
    const [a, b, c] = await three();
    const name = room("event");
    const heard = [b, c].map((socket) => collect(socket, name));
    await Promise.all(Array.from({ length: 100 }, (_, i) => ask(a, "broadcast", name, i)));
    await settle(b, c);
    const wanted = Array.from({ length: 100 }, (_, i) => i);
    assert.deepEqual(heard, [wanted, wanted]);
  });

  it("a room answers a question together", async () => {
    const [a, b, c] = await three();
    const name = room("r");
    await Promise.all([a, b, c].map((socket) => ask(socket, "join", name)));
    [a, b, c].forEach((socket, i) => socket.on("question", (value, answer) => answer(`${value} ${i}`)));
    assert.deepEqual(await ask(a, "ask-room", name, "you", 2000), {
      answers: ["you 0", "you 1", "you 2"],
      complete: true,
    });
  });

  it("a room in which one stays silent gives the answers there were", async () => {
    const [a, b, c] = await three();
    const name = room("r");
    await Promise.all([a, b, c].map((socket) => ask(socket, "join", name)));
    a.on("question", (value, answer) => answer("a"));
    c.on("question", (value, answer) => answer("c"));
    assert.deepEqual(await ask(a, "ask-room", name, "you", 200), { answers: ["a", "c"], complete: false });
  });

  it("an empty room answers at once with nothing", async () => {
    const socket = await ready("/", options);
    assert.deepEqual(await ask(socket, "ask-room", room("r"), 0, 3000), { answers: [], complete: true });
  });
});

it("a room may hold clients of every transport, and binary reaches them all", async () => {
  const [poll, ws, both] = await Promise.all(Object.values(TRANSPORTS).map((options) => ready("/", options)));
  const name = room("mixed");
  await Promise.all([poll, ws, both].map((socket) => ask(socket, "join", name)));
  const blob = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
  for (const sender of [poll, ws, both]) {
    const others = [poll, ws, both].filter((socket) => socket !== sender);
    const heard = others.map((socket) => next(socket, "picture"));
    await ask(sender, "to-room-binary", name, "picture", blob);
    for (const [value] of await Promise.all(heard)) {
      assert.ok(Buffer.from(value.blob).equals(blob));
    }
  }
});
