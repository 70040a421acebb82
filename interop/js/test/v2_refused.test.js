// A server that was not asked to serve clients of Socket.IO 2 does not.
"use strict";

const assert = require("node:assert/strict");
const { URL, it, next } = require("./helpers.js");
const { client2 } = require("./v2_helpers.js");

for (const transport of ["polling", "websocket"]) {
  it(`${transport} is refused`, async () => {
    const socket = client2("/", { transports: [transport] });
    await next(socket, "connect_error");
    assert.equal(socket.connected, false);
  });
}

it("with a code", async () => {
  for (const query of ["EIO=3&transport=polling", "transport=polling"]) {
    const response = await fetch(`${URL}/socket.io/?${query}`);
    assert.equal(response.status, 400);
    assert.deepEqual(await response.json(), { code: 5, message: "Unsupported protocol version" });
  }
});
