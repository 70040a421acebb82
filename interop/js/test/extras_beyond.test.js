// What the official server does not have: the events of one client are handled one after another, unless one says otherwise.
"use strict";

const assert = require("node:assert/strict");
const { ask, it, overEach, ready } = require("./helpers.js");

overEach((options) => {
  it("events of one client are handled one after another", async () => {
    const socket = await ready("/in-turn", options);
    const two = [ask(socket, "meet", 2), ask(socket, "meet", 2)];
    assert.deepEqual(await Promise.all(two), [false, false]);
  });

  it("no more at the same time than wanted", async () => {
    const socket = await ready("/at-once", options);
    const four = Array.from({ length: 4 }, () => ask(socket, "meet", 4));
    assert.ok((await Promise.all(four)).includes(false));
  });

  it("arguments that do not fit are an answer", async () => {
    const socket = await ready("/extras", options);
    const answer = await ask(socket, "move", "here", "there");
    assert.match(answer.error, /arguments of "move"/);
  });
});
