// What the test files share. SIO_URL names the server under test, SIO_CONTROL the address that stops and starts it.
"use strict";

const net = require("node:net");
const { describe, test, afterEach } = require("node:test");
const { io } = require("socket.io-client");

const URL = process.env.SIO_URL;
if (!URL) throw new Error("SIO_URL must name the server, for example http://127.0.0.1:3000");

const LIMIT = Number(process.env.SIO_STEP_TIMEOUT || 5000);

// With SIO_PARSER=msgpack the same tests speak MessagePack.
const MSGPACK = process.env.SIO_PARSER === "msgpack";
const PARSER = MSGPACK ? { parser: require("socket.io-msgpack-parser") } : {};

const TRANSPORTS = {
  polling: { transports: ["polling"], ...PARSER },
  websocket: { transports: ["websocket"], ...PARSER },
  upgrade: { transports: ["polling", "websocket"], ...PARSER },
};

const open = new Set();

// A socket on a connection of its own, closed after the test. It does not come back by itself unless asked to.
function client(namespace = "/", options = {}) {
  const socket = io(URL + encodeURI(namespace), { forceNew: true, reconnection: false, ...PARSER, ...options });
  open.add(socket);
  return socket;
}

function closeAll() {
  for (const socket of open) {
    socket.disconnect();
    socket.io.engine?.close();
  }
  open.clear();
}
afterEach(closeAll);

// Fails, instead of waiting for ever.
function within(promise, what, ms = LIMIT) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: nothing in ${ms} ms`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

// The arguments of the next event of that name.
function next(emitter, event, ms) {
  return within(new Promise((resolve) => emitter.once(event, (...args) => resolve(args))), `event "${event}"`, ms);
}

// Resolves when the socket has joined its namespace; rejects with the server's refusal.
function connected(socket) {
  if (socket.connected) return Promise.resolve(socket);
  return within(
    new Promise((resolve, reject) => {
      socket.once("connect", () => resolve(socket));
      socket.once("connect_error", reject);
    }),
    "connect",
  );
}

// A connected client; with the transports of "upgrade", one that has upgraded.
async function ready(namespace, options = {}) {
  const socket = client(namespace, options);
  const wanted = options.transports?.at(-1);
  const upgraded =
    options.transports?.length > 1
      ? within(new Promise((resolve) => socket.io.on("open", () => socket.io.engine.once("upgrade", resolve))), "upgrade")
      : null;
  await Promise.all([connected(socket), upgraded]);
  if (wanted && socket.io.engine.transport.name !== wanted) {
    throw new Error(`on ${socket.io.engine.transport.name} instead of ${wanted}`);
  }
  return socket;
}

// emit with acknowledgement, one value, bounded.
function ask(socket, event, ...args) {
  return socket.timeout(LIMIT).emitWithAck(event, ...args);
}

// Everything a socket hears of one event, as a list that grows.
function collect(socket, event) {
  const list = [];
  socket.on(event, (...args) => list.push(args.length > 1 ? args : args[0]));
  return list;
}

// Waits until the condition holds.
async function until(condition, what, ms = LIMIT) {
  const end = Date.now() + ms;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > end) throw new Error(`${what}: not in ${ms} ms`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

// One group of tests for each way to be connected.
function overEach(define, names = Object.keys(TRANSPORTS)) {
  for (const name of names) {
    describe(name, () => define(TRANSPORTS[name], name));
  }
}

// A test with a bound, whatever it does.
function it(title, body, ms = 4 * LIMIT) {
  test(title, { timeout: ms }, body);
}

// One of what the JavaScript implementation of MessagePack does in another way.
const itInJson = MSGPACK ? () => {} : it;

// Sends "stop" or "start" to whoever runs the server.
function control(command) {
  const [host, port] = process.env.SIO_CONTROL.split(":");
  return within(
    new Promise((resolve, reject) => {
      const conn = net.connect(Number(port), host, () => conn.write(`${command}\n`));
      let text = "";
      conn.on("data", (chunk) => (text += chunk));
      conn.on("error", reject);
      conn.on("close", () => (text === "ok\n" ? resolve() : reject(new Error(`control ${command}: ${text}`))));
    }),
    `control ${command}`,
    2 * LIMIT,
  );
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

module.exports = {
  LIMIT, MSGPACK, TRANSPORTS, URL, ask, client, closeAll, collect, connected, control, it, itInJson, next, overEach, ready, sleep,
  until, within,
};
