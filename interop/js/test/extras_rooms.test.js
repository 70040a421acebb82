// Lists of rooms, many sockets at once, partial answers, and what the server is told of rooms.
"use strict";

const assert = require("node:assert/strict");
const { ask, collect, it, next, overEach, ready, until } = require("./helpers.js");

let rooms = 0;
const room = (name) => `${name}-${process.pid}-${++rooms}`;
const settle = (...sockets) => Promise.all(sockets.map((socket) => ask(socket, "move", 0, 0)));

overEach((options) => {
  const three = () => Promise.all([1, 2, 3].map(() => ready("/extras", options)));

  it("several rooms are joined and left at once", async () => {
    const socket = await ready("/extras", options);
    const [a, b, c] = [room("a"), room("b"), room("c")];
    assert.deepEqual(await ask(socket, "join", [a, b, c]), [a, b, c]);
    assert.deepEqual(await ask(socket, "leave", [a, c, "never joined"]), [b]);
    assert.deepEqual(await ask(socket, "join", []), [b]);
  });

  it("lists of rooms to send to, and to leave out", async () => {
    const [a, b, c] = await three();
    const [one, two, out] = [room("one"), room("two"), room("out")];
    await ask(a, "join", [one, two]);
    await ask(b, "join", [one, two]);
    await ask(c, "join", [two, out]);
    const heard = [a, b, c].map((socket) => collect(socket, "said"));
    await ask(a, "to", [one, two], [], "both");
    await ask(a, "to", [one, two], [out, "nobody"], "but");
    await ask(a, "to", [one, two], [one, out], "none");
    await settle(a, b, c);
    assert.deepEqual(heard, [[], ["both", "but"], ["both"]]);
  });

  it("all of a room join and leave others", async () => {
    const [a, b, c] = await three();
    const [from, one, two] = [room("from"), room("one"), room("two")];
    await ask(a, "join", [from]);
    await ask(b, "join", [from]);
    assert.equal(await ask(c, "gather", from, [one, two]), "done");
    assert.deepEqual(await ask(a, "join", []), [from, one, two].sort());
    assert.deepEqual(await ask(c, "join", []), []);
    assert.equal(await ask(c, "scatter", one, [from, two]), "done");
    assert.deepEqual(await ask(b, "join", []), [one]);
  });

  it("those who answer in time are heard, although others are silent", async () => {
    const [a, b, c] = await three();
    const name = room("r");
    for (const socket of [a, b, c]) await ask(socket, "join", [name]);
    b.on("question", (answer) => answer("b"));
    c.on("question", (answer) => answer("c"));
    assert.deepEqual(await ask(a, "survey", name, 200), { answers: ["b", "c"], silent: 1 });
    a.on("question", (answer) => answer("a"));
    assert.deepEqual(await ask(a, "survey", name, 2000), { answers: ["a", "b", "c"], silent: 0 });
    assert.deepEqual(await ask(a, "survey", room("nobody"), 2000), { answers: [], silent: 0 });
  });

  it("the server is told of rooms that come and go", async () => {
    const [a, b, c] = await three();
    const [name, other] = [room("r"), room("other")];
    await ask(a, "join", [name]);
    await ask(a, "join", [name]);
    await ask(b, "join", [name]);
    await ask(c, "gather", name, [other]);
    await ask(a, "leave", [name]);
    const { id } = b;
    b.disconnect();
    await until(async () => (await ask(c, "room-log", name)).at(-1) === "delete", "the room is gone");
    const both = [`join ${a.id}`, `join ${id}`];
    const log = ["create", ...both, `leave ${a.id}`, `leave ${id}`, "delete"];
    assert.deepEqual(await ask(c, "room-log", name), log);
    const [created, ...joined] = await ask(c, "room-log", other);
    assert.deepEqual([created, ...joined.slice(0, 2).sort()], ["create", ...both.toSorted()]);
    assert.deepEqual(joined.slice(2), [`leave ${id}`]);
    assert.deepEqual(await ask(c, "join", [name]), [name]);
    assert.deepEqual((await ask(c, "room-log", name)).slice(log.length), ["create", `join ${c.id}`]);
  });

  it("the room of a socket's own id is one of them", async () => {
    const [a, b] = await three();
    const { id } = a;
    assert.deepEqual(await ask(a, "room-log", id), ["create", `join ${id}`]);
    a.disconnect();
    await until(async () => (await ask(b, "room-log", id)).length === 4, "the room is gone");
    assert.deepEqual((await ask(b, "room-log", id)).slice(2), [`leave ${id}`, "delete"]);
  });
});
