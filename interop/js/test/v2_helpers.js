// For the tests with the client of Socket.IO 2: a way to open its sockets, and its other manners.
"use strict";

const { createRequire } = require("node:module");
const { afterEach } = require("node:test");
const io = require("socket.io-client-v2");
const { LIMIT, URL, next, within } = require("./helpers.js");

// Ways to be connected. In Node, JSONP needs a document that does as browsers do: see `pretendDocument`.
const WAYS = {
  polling: { transports: ["polling"] },
  websocket: { transports: ["websocket"] },
  upgrade: { transports: ["polling", "websocket"] },
  "websocket with base64": { transports: ["websocket"], forceBase64: true },
  jsonp: { transports: ["polling"], forceJSONP: true },
};

const open = new Set();

function client2(namespace = "/", options = {}) {
  if (options.forceJSONP) pretendDocument();
  const socket = io(URL + namespace, { forceNew: true, reconnection: false, ...options });
  open.add(socket);
  return socket;
}

afterEach(() => {
  for (const socket of open) {
    socket.disconnect();
    socket.io.engine?.close();
  }
  open.clear();
});

// Resolves when the socket has joined its namespace; rejects with the server's refusal, as it is.
function connected2(socket) {
  if (socket.connected) return Promise.resolve(socket);
  return within(
    new Promise((resolve, reject) => {
      socket.once("connect", () => resolve(socket));
      socket.once("error", reject);
      socket.once("connect_error", reject);
    }),
    "connect",
  );
}

// A connected client; with the transports of "upgrade", one that has upgraded.
async function ready2(namespace, options = {}) {
  const socket = client2(namespace, options);
  const upgraded =
    options.transports?.length > 1
      ? within(new Promise((resolve) => socket.io.on("open", () => socket.io.engine.once("upgrade", resolve))), "upgrade")
      : null;
  await Promise.all([connected2(socket), upgraded]);
  const wanted = options.transports?.at(-1);
  if (wanted && socket.io.engine.transport.name !== wanted) {
    throw new Error(`on ${socket.io.engine.transport.name} instead of ${wanted}`);
  }
  return socket;
}

// emit with acknowledgement: all its values, bounded.
function askAll2(socket, event, ...args) {
  return within(new Promise((resolve) => socket.emit(event, ...args, (...values) => resolve(values))), `answer to "${event}"`);
}

async function ask2(socket, event, ...args) {
  return (await askAll2(socket, event, ...args))[0];
}

// What the server calls the socket: the client's own `id` is made from that of the session, which our server keeps secret.
async function idAtServer(socket) {
  const rooms = await ask2(socket, "rooms");
  if (rooms.length !== 1) throw new Error(`in rooms ${rooms}`);
  return rooms[0];
}

// The parser of revision 3 that the client uses.
function parser() {
  const ofClient = createRequire(require.resolve("socket.io-client-v2"));
  return createRequire(ofClient.resolve("engine.io-client"))("engine.io-parser");
}

// As much of a document as the client's JSONP needs: scripts that are loaded and run, and a form that posts one field.
function pretendDocument() {
  if (globalThis.document) return;
  const fail = (element) => (error) => element.onerror?.(error);
  const load = async (script) => {
    const response = await fetch(script.src);
    const text = await response.text();
    if (!response.ok) throw new Error(`${response.status} ${text}`);
    if (script.parentNode) (0, eval)(text);
  };
  const submit = async (form, area) => {
    const response = await fetch(form.action, { method: "POST", body: new URLSearchParams({ [area.name]: area.value }) });
    await response.text();
    form.iframe?.onload?.();
  };
  const element = (tag) => {
    // As today's browsers do; the client then says it in another way.
    if (tag.startsWith("<")) throw new Error("not a name");
    const self = { tag, style: {}, setAttribute() {} };
    self.removeChild = (child) => (child.parentNode = null);
    self.appendChild = (child) => {
      child.parentNode = self;
      if (child.tag === "script") load(child).catch(fail(child));
      if (child.tag === "textarea") self.area = child;
      if (child.tag === "iframe") self.iframe = child;
      return child;
    };
    self.submit = () => submit(self, self.area).catch(() => {});
    return self;
  };
  globalThis.document = {
    createElement: (tag) => element(tag),
    getElementsByTagName: () => [],
    head: element("head"),
    body: element("body"),
  };
}

module.exports = { LIMIT, WAYS, ask2, askAll2, client2, connected2, idAtServer, next, parser, ready2 };
