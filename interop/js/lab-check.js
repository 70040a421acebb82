// That the lab is right, before our client is measured by it: the official client goes through what it offers.
//
//   SIO_URL, SIO_SIDE ("node" or "ours"), SIO_CA (PEM, with TLS)
//   stdout   a line {"command":{...}} for the server; {"lab":"kill"}, {"lab":"start"}, {"lab":"log","name":"note"}
//   stdin    a line with the answer to each
"use strict";

const assert = require("node:assert/strict");
const readline = require("node:readline");
const { io } = require("socket.io-client");

const { SIO_URL: URL, SIO_SIDE: SIDE, SIO_CA: ca } = process.env;
const TRANSPORTS = [["polling"], ["websocket"], ["polling", "websocket"]];

const answers = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();
async function tell(message) {
  console.log(JSON.stringify(message));
  return JSON.parse((await answers.next()).value);
}
const command = (command) => tell({ command });
const log = (name) => tell({ lab: "log", name });

function client(namespace, options) {
  return io(URL + namespace, { forceNew: true, reconnectionDelay: 20, reconnectionDelayMax: 50, ca, ...options });
}
const once = (emitter, event) => new Promise((resolve) => emitter.once(event, (...args) => resolve(args)));
async function until(condition) {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 10));
}

function pattern(length, seed) {
  return Buffer.from(Array.from({ length }, (_, i) => (i * 31 + seed * 7 + (i >> 8)) & 0xff));
}
function digest(bytes) {
  let hash = 0x811c9dc5;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return { $digest: [bytes.length, hash] };
}
const NESTED = {
  name: "nested",
  list: [pattern(1, 1), [pattern(2, 2), { deep: pattern(3, 3) }]],
  empty: pattern(0, 0),
  large: pattern(300_000, 4),
  none: null,
};

async function talk(options) {
  const socket = client("/", options);
  await once(socket, "connect");
  const ask = (...args) => socket.timeout(5000).emitWithAck(...args);

  const echoed = once(socket, "echo");
  socket.emit("echo", 1, { a: [null, "ä😀"] }, pattern(4, 9));
  assert.deepEqual(await echoed, [1, { a: [null, "ä😀"] }, pattern(4, 9)]);
  assert.equal(await ask("sum", 20, 22), 42);
  assert.deepEqual(await new Promise((resolve) => socket.emit("three", (...all) => resolve(all))), [1, "two", { three: [3] }]);
  assert.deepEqual(await new Promise((resolve) => socket.emit("nothing", (...all) => resolve(all))), []);
  assert.deepEqual(await ask("echo-ack", NESTED), NESTED);
  assert.deepEqual(await ask("nested", 300_000), NESTED);
  const nested = once(socket, "nested");
  socket.emit("nested-event", 300_000);
  assert.deepEqual(await nested, [NESTED, "and", pattern(5, 5)]);
  assert.deepEqual(await ask("describe", { a: [pattern(7, 1)] }, pattern(300_000, 2), "x"), [
    { a: [digest(pattern(7, 1))] },
    digest(pattern(300_000, 2)),
    "x",
  ]);
  assert.equal(await ask("late", "v", 20), "v");
  await assert.rejects(socket.timeout(50).emitWithAck("silent"), /timed out/);

  socket.on("question", (value, ack) => value !== "silence" && ack(value));
  assert.deepEqual(await ask("ask-me", { q: 1 }, 5000), { answer: { q: 1 } });
  assert.deepEqual(await ask("ask-me", "silence", 50), { error: "timeout" });
  assert.deepEqual(await ask("ask-me-binary", pattern(9, 3)), pattern(9, 3));
  const question = { cmd: "ask", id: socket.id, event: "question", args: [{ b: { $bytes: [5, 6] } }] };
  assert.deepEqual((await command(question)).ok, { answers: [{ b: digest(pattern(5, 6)) }] });

  await ask("join", "r");
  const heard = [];
  socket.on("heard", (...args) => heard.push(args));
  await command({ cmd: "emit", rooms: ["r"], event: "heard", args: [1, { $bytes: [2, 1] }] });
  await command({ cmd: "emit", except: ["r"], event: "heard", args: [2] });
  await command({ cmd: "emit", event: "heard" });
  await until(() => heard.length >= 2);
  assert.deepEqual(heard, [[1, pattern(2, 1)], []]);
  assert.ok((await command({ cmd: "sockets" })).ok.some(({ id }) => id === socket.id));
  assert.match((await command({ cmd: "nonsense" })).error, /nonsense/);
  const { headers, url } = await ask("handshake");
  assert.match(url, /EIO=4/);
  assert.equal(typeof headers.host, "string");
  socket.disconnect();
}

async function namespaces(options) {
  const refused = async (namespace, auth) => {
    const socket = client(namespace, { ...options, auth });
    const [error] = await once(socket, "connect_error");
    socket.disconnect();
    return [error.message, error.data];
  };
  assert.deepEqual(await refused("/admin", { token: "x" }), ["not authorized", { code: 401, token: "x" }]);
  assert.deepEqual(await refused("/admin"), ["not authorized", { code: 401, token: null }]);
  assert.deepEqual(await refused("/text"), ["no", "because"]);
  assert.deepEqual(await refused("/plain"), ["never", undefined]);
  assert.deepEqual(await refused("/unknown"), ["Invalid namespace", undefined]);
  const admin = client("/admin", { ...options, auth: { token: "secret", name: "me" } });
  await once(admin, "connect");
  assert.equal(await admin.timeout(5000).emitWithAck("whoami"), "me");
  admin.disconnect();
  const news = client("/news", options);
  const [id] = await once(news, "welcome");
  assert.equal(id, news.id);
  news.disconnect();
}

async function leaving(options) {
  const reason = async (end) => {
    const socket = client("/", { ...options, reconnection: false });
    await once(socket, "connect");
    // Not in the middle of an upgrade; the server has seen its end when it answers.
    await until(() => socket.io.engine.transport.name === options.transports.at(-1));
    await socket.timeout(5000).emitWithAck("sum", 1, 2);
    const gone = once(socket, "disconnect");
    await end(socket);
    const [reason] = await gone;
    socket.disconnect();
    return reason;
  };
  const by = (cmd, fields) => async (socket) => {
    assert.equal((await command({ cmd, id: socket.id, ...fields })).error, undefined);
  };
  assert.equal(await reason(by("disconnect")), "io server disconnect");
  assert.equal(await reason(by("disconnect", { close: true })), "io server disconnect");
  assert.match(await reason(by("cut")), /transport (close|error)/);
  if (SIDE === "node") assert.equal(await reason(by("close")), "transport close");
}

async function restart(options) {
  const socket = client("/", options);
  await once(socket, "connect");
  await socket.timeout(5000).emitWithAck("note", "before");
  // A client whose server dies in the middle of the upgrade only learns of it when the heartbeat is due.
  await until(() => socket.io.engine.transport.name === options.transports.at(-1));
  const gone = once(socket, "disconnect");
  await tell({ lab: "kill" });
  await gone;
  for (let i = 0; i < 5; i++) socket.emit("note", i);
  const back = once(socket, "connect");
  await tell({ lab: "start" });
  await back;
  await socket.timeout(5000).emitWithAck("note", "after");
  const notes = (await log("note")).map(({ value }) => value);
  assert.deepEqual(notes, ["before", 0, 1, 2, 3, 4, "after"]);
  socket.disconnect();
}

async function retries(options) {
  await command({ cmd: "retries", swallowEvery: 7, cutEvery: 10, cut: "before" });
  const socket = client("/retries", { ...options, retries: 1000, ackTimeout: 100 });
  const asked = Array.from({ length: 40 }, (_, seq) => new Promise((resolve) => socket.emit("item", seq, resolve)));
  assert.ok((await Promise.all(asked)).every((error) => error === null));
  const items = await log("item");
  const seqs = items.map(({ seq }) => seq);
  assert.deepEqual([...new Set(seqs)], Array.from({ length: 40 }, (_, seq) => seq));
  // Each item that was not answered came again, and few others (those whose answer was late).
  const lost = items.filter(({ ack }) => ack !== "sent").length;
  assert.ok(lost >= 8, `${lost} lost`);
  assert.ok(items.length >= 40 + lost);
  socket.disconnect();
}

async function recovery(options) {
  const socket = client("/", options);
  await once(socket, "connect");
  const { id } = socket;
  const heard = [];
  socket.on("tick", (value) => heard.push(value));
  await command({ cmd: "emit", event: "tick", args: [0] });
  await until(() => heard.length === 1);
  const back = once(socket, "connect");
  const events = [1, 2].map((n) => ({ event: "tick", args: [n] }));
  const volatile = { event: "tick", args: ["volatile"], volatile: true };
  await command({ cmd: "away", id, events: [events[0], volatile, events[1]] });
  await back;
  assert.equal(socket.recovered, true);
  assert.equal(socket.id, id);
  assert.deepEqual(heard, [0, 1, 2]);
  await until(async () => (await log("connect")).at(-1).recovered);

  // The reference's defect: the string is taken for an offset.
  // It is dropped while no poll waits, or during an upgrade.
  await until(async () => {
    await command({ cmd: "emit", event: "tick", args: ["volatile"], volatile: true });
    return heard.length > 3;
  });
  const again = once(socket, "connect");
  await command({ cmd: "away", id, events: [] });
  await again;
  assert.equal(socket.recovered, false);
  socket.disconnect();
}

async function silence(options) {
  const socket = client("/", options);
  await once(socket, "connect");
  const gone = once(socket, "disconnect");
  await command({ cmd: "silence", id: socket.id });
  assert.equal((await gone)[0], "ping timeout");
  socket.disconnect();
}

async function requests(options) {
  const socket = client("/", { ...options, query: { a: "b" }, extraHeaders: { "x-extra": "1" }, withCredentials: true });
  await once(socket, "connect");
  await socket.timeout(5000).emitWithAck("sum", 1, 2);
  const requests = await log("request");
  assert.ok(requests.length >= 2 || options.transports[0] === "websocket");
  for (const { url, headers } of requests) {
    assert.match(url, /[?&]a=b/);
    assert.equal(headers["x-extra"], "1");
    // The official client does not look at paths.
    assert.equal(headers.cookie, url.includes("&sid=") ? "lab=kept; other=x" : undefined);
  }
  socket.disconnect();
}

const STORIES = { talk, namespaces, leaving, restart, retries, recovery, silence, requests };

(async () => {
  const [story] = process.argv.slice(2);
  for (const transports of TRANSPORTS) {
    for (const name of ["note", "item", "connect", "request"]) await tell({ lab: "clear", name });
    await STORIES[story]({ transports });
  }
  process.exit(0);
})();
