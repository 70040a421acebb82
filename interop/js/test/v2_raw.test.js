// Revision 3 and JSONP by hand, with the parser of that revision: what the client does only in a browser, and what it never does.
"use strict";

const assert = require("node:assert/strict");
const { createRequire } = require("node:module");
const { URL, ask, it, ready, until, within } = require("./helpers.js");
const { parser } = require("./v2_helpers.js");

const WebSocket = createRequire(require.resolve("socket.io-client"))("ws");
const { encodePayload, encodePayloadAsBinary, decodePayload, decodePayloadAsBinary } = parser();

const OCTETS = "application/octet-stream";

// Requests of one polling session.
class Session {
  constructor(query) {
    this.target = `${URL}/socket.io/?transport=polling&${query}`;
  }
  async fetch(method = "GET", body, type = "text/plain;charset=UTF-8", query = "") {
    const headers = body === undefined ? {} : { "content-type": type };
    const response = await within(fetch(this.target + query, { method, body, headers }), method);
    const bytes = Buffer.from(await response.arrayBuffer());
    return { status: response.status, type: response.headers.get("content-type"), bytes, text: bytes.toString() };
  }
  // The packets of the next answer.
  async get() {
    const { status, type, bytes, text } = await this.fetch();
    assert.equal(status, 200, text);
    const packets = [];
    if (type === OCTETS) decodePayloadAsBinary(bytes, null, (packet) => void packets.push(packet));
    else decodePayload(text, null, (packet) => void packets.push(packet));
    return { type, text, packets };
  }
  async post(body, type) {
    const { status, text } = await this.fetch("POST", body, type);
    assert.deepEqual([status, text], [200, "ok"]);
  }
  // Joined to `/`, with the id that the server has for it.
  static async joined(query = "EIO=3") {
    const session = new Session(query);
    const { type, text, packets } = await session.get();
    assert.equal(type, "text/plain; charset=UTF-8");
    assert.match(text, /^\d+:0\{/);
    assert.equal(packets[0].type, "open");
    session.open = JSON.parse(packets[0].data);
    session.target += `&sid=${session.open.sid}`;
    const rest = packets.length > 1 ? packets.slice(1) : (await session.get()).packets;
    assert.deepEqual(rest, [{ type: "message", data: "0" }], "B75");
    await session.post(one('420["rooms"]'));
    const [{ data }] = (await session.get()).packets;
    session.id = JSON.parse(data.slice(2))[0][0];
    return session;
  }
  async isClosed() {
    return until(async () => {
      const { status, text } = await this.fetch();
      return status === 400 && JSON.parse(text).code === 1;
    }, "the end of the session");
  }
}

const encoded = (packets) => new Promise((resolve) => encodePayload(packets, false, resolve));
const encodedAsBinary = (packets) => new Promise((resolve) => encodePayloadAsBinary(packets, resolve));
// A payload of one packet.
const one = (packet) => `${packet.length}:${packet}`;
const message = (data) => ({ type: "message", data });

async function reasonOf(id) {
  const witness = await ready("/", { transports: ["websocket"] });
  return until(async () => (await ask(witness, "observed", id)).reason, "the server sees the end");
}

it("the handshake has five keys (B12)", async () => {
  const { open } = await Session.joined();
  assert.deepEqual(Object.keys(open).sort(), ["maxPayload", "pingInterval", "pingTimeout", "sid", "upgrades"]);
  assert.deepEqual(open.upgrades, ["websocket"]);
});

it("no EIO is revision 3 (B13)", async () => {
  await Session.joined("t=x");
});

it("lengths are in UTF-16 units (B72)", async () => {
  const session = await Session.joined();
  const body = await encoded([message('2["echo","é中🎉"]'), message('2["echo","𝄞"]')]);
  assert.ok(body.startsWith("17:"), body);
  await session.post(body);
  const heard = [];
  while (heard.length < 2) heard.push(...(await session.get()).packets);
  assert.deepEqual(heard, [message('2["echo","é中🎉"]'), message('2["echo","𝄞"]')]);
});

it("binary payloads (B73)", async () => {
  const session = await Session.joined();
  const bytes = Buffer.from([4, 0, 1, 255, 30]);
  const body = await encodedAsBinary([message('51-["echo","é中🎉",{"_placeholder":true,"num":0}]'), message(bytes)]);
  await session.post(body, OCTETS);
  const { type, packets } = await session.get();
  assert.equal(type, OCTETS);
  assert.deepEqual(packets, [message('51-["echo","é中🎉",{"_placeholder":true,"num":0}]'), message(bytes)]);
  // Without bytes it is text again.
  await session.post(one('421["sum",1,2]'));
  const answer = await session.get();
  assert.deepEqual([answer.type, answer.text], ["text/plain; charset=UTF-8", "6:431[3]"]);
});

it("base64 for clients that take text only (B8, B74)", async () => {
  const session = await Session.joined("EIO=3&b64=1");
  const header = '451-["echo",{"_placeholder":true,"num":0}]';
  await session.post(one(header) + one("b4AQI="));
  const { type, text } = await session.get();
  assert.equal(type, "text/plain; charset=UTF-8");
  assert.equal(text, one(header) + one("b4AQI="));
});

it("the server answers a ping, and closes at a pong (B35, B37)", async () => {
  const session = await Session.joined();
  await session.post("1:2");
  assert.equal((await session.get()).text, "1:3");
  await session.post("1:3");
  assert.equal(await session.isClosed(), true);
  assert.equal(await reasonOf(session.id), "transport error");
});

for (const body of ["", "x", ":", "5:2", "3:2", "1:9", "1:21", "99999999999999999999:2"]) {
  it(`"${body}" is no payload`, async () => {
    const session = await Session.joined();
    await session.post(body);
    assert.equal(await session.isClosed(), true);
    assert.equal(await reasonOf(session.id), "parse error");
  });
}

it("packets before a bad one count", async () => {
  const session = await Session.joined();
  const witness = await ready("/", { transports: ["websocket"] });
  await session.post(`${one('42["mark"]')}x`);
  assert.equal(await session.isClosed(), true);
  const { any } = await ask(witness, "observed", session.id);
  assert.deepEqual(any, ["rooms", "mark"]);
});

it("a session does not change its revision (B27)", async () => {
  const old = await Session.joined();
  const refused = async (target) => {
    const response = await fetch(target);
    assert.equal(response.status, 400);
    assert.equal((await response.json()).code, 3);
  };
  await refused(old.target.replace("EIO=3", "EIO=4"));
  const response = await fetch(`${URL}/socket.io/?EIO=4&transport=polling`);
  const { sid } = JSON.parse((await response.text()).slice(1));
  await refused(`${URL}/socket.io/?EIO=3&transport=polling&sid=${sid}`);
  await refused(`${URL}/socket.io/?transport=polling&sid=${sid}`);
  await old.post("1:2");
  assert.equal((await old.get()).text, "1:3", "no harm is done");
});

// Frames of a WebSocket, one after another.
async function dial(query) {
  const socket = new WebSocket(`${URL.replace("http", "ws")}/socket.io/?transport=websocket&${query}`);
  const [frames, waiting] = [[], []];
  socket.on("message", (data, isBinary) => {
    frames.push(isBinary ? data : data.toString());
    waiting.shift()?.();
  });
  await within(new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject)), "open");
  const frame = async () => {
    if (frames.length === 0) await within(new Promise((resolve) => waiting.push(resolve)), "a frame");
    return frames.shift();
  };
  return { socket, frame };
}

const ECHO = '51-["echo",{"_placeholder":true,"num":0}]';

it("binary frames have a type (B74)", async () => {
  const { socket, frame } = await dial("EIO=3");
  assert.match(await frame(), /^0\{/);
  assert.equal(await frame(), "40");
  socket.send("2");
  assert.equal(await frame(), "3");
  socket.send(`4${ECHO}`);
  socket.send(Buffer.from([4, 1, 2]));
  assert.equal(await frame(), `4${ECHO}`);
  assert.deepEqual(await frame(), Buffer.from([4, 1, 2]));
  socket.close();
});

it("base64 over a WebSocket, in both revisions (B8)", async () => {
  for (const [revision, prefix] of [[3, "b4"], [4, "b"]]) {
    const { socket, frame } = await dial(`EIO=${revision}&b64=1`);
    await frame();
    if (revision === 4) socket.send("40");
    assert.match(await frame(), /^40/);
    socket.send(`4${ECHO}`);
    socket.send(`${prefix}AQI=`);
    assert.equal(await frame(), `4${ECHO}`);
    assert.equal(await frame(), `${prefix}AQI=`);
    socket.close();
  }
});

// Runs the script of an answer to JSONP.
function called({ status, text }, number = 0) {
  assert.equal(status, 200, text);
  assert.ok(/^[\x20-\x7e\u0080-\u2027\u202a-\uffff]*$/.test(text), "nothing that ends a line");
  let payload;
  const ___eio = { [number]: (value) => (payload = value) };
  new Function("___eio", text)(___eio);
  return payload;
}

it("JSONP in revision 4 (B57)", async () => {
  const session = new Session("EIO=4&j=7a1");
  const open = called(await session.fetch(), 71);
  session.target += `&sid=${JSON.parse(open.slice(1)).sid}`;
  const form = "application/x-www-form-urlencoded";
  const post = async (payload) => {
    // As the client escapes line feeds.
    const d = payload.replace(/\\n/g, "\\\n").replace(/\n/g, "\\n");
    await session.post(new URLSearchParams({ d }).toString(), form);
  };
  await post("40");
  assert.match(called(await session.fetch(), 71), /^40\{"sid":/);
  const text = JSON.stringify("a\n\\n\u2028\u2029é🎉+&=%");
  await post(`42["echo",${text}]\u001e42["echo",1]`);
  const heard = [];
  while (heard.length < 2) heard.push(...called(await session.fetch(), 71).split("\u001e"));
  assert.deepEqual(heard, [`42["echo",${text}]`, '42["echo",1]']);
});
