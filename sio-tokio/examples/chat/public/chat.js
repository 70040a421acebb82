// The page of the chat example. Text from other people only ever reaches the document as `textContent`.
"use strict";

const IMAGE_LIMIT = 512 * 1024;
const IMAGE_TYPES = ["image/png", "image/jpeg", "image/gif", "image/webp", "image/avif"];
const JOIN_TIMEOUT = 5_000; // ms
const TYPING_PAUSE = 2_000; // ms without a keystroke until we say that we stopped
const TYPING_EXPIRY = 6_000; // ms until we stop believing that somebody else still types

const $ = (id) => document.getElementById(id);
const messages = $("messages");

let seat = null; // { name, room }, as soon as the server let us in
let joining = false;

// The server reads `seat` while it connects the socket. To join when the page hears of a new connection would
// be too late: by then socket.io-client has sent what was written offline.
const socket = io({ auth: (send) => send({ seat }), reconnectionDelayMax: 2_000 });

// --- Connection --------------------------------------------------------------------------------------------

function showStatus(text) {
  $("status").textContent = text;
  $("status").className = text === "connected" || text === "disconnected" ? text : "";
}

socket.on("connect", () => {
  showStatus("connected");
  if (seat && !joining) join(seat);
});

socket.on("disconnect", (reason) => {
  showStatus("disconnected");
  typists.clear();
  showTypists();
  // A server that says goodbye wants us gone, but this one may merely be restarting.
  if (reason === "io server disconnect") setTimeout(() => socket.connect(), 1_000);
});

socket.io.on("reconnect_attempt", () => showStatus("reconnecting…"));
socket.on("connect_error", () => showStatus("reconnecting…"));

// --- Joining -----------------------------------------------------------------------------------------------

async function join(wanted) {
  const again = wanted === seat;
  joining = true;
  $("join-error").textContent = "";
  $("join-form").querySelector("[type=submit]").disabled = true;
  try {
    const joined = await socket.timeout(JOIN_TIMEOUT).emitWithAck("join", wanted);
    if (joined.error) throw new Error(joined.error);
    if (joined.room !== seat?.room) clearMessages();
    seat = { name: joined.name, room: joined.room };
    joined.history.forEach(showText);
    showMembers(joined.members);
    if (!again) showChat(true);
  } catch (error) {
    if (again && !socket.connected) return; // lost again: the next connection tries again
    $("join-error").textContent =
      socket.connected ? `Could not join: ${error.message}` : "The server is not reachable";
    showChat(false);
  } finally {
    joining = false;
    $("join-form").querySelector("[type=submit]").disabled = false;
  }
}

function showChat(visible) {
  const changed = $("chat-view").hidden === visible;
  $("chat-view").hidden = !visible;
  $("join-view").hidden = visible;
  $("switch").hidden = !visible;
  $("cancel").hidden = !seat;
  $("title").textContent = visible ? seat.room : "Chat";
  document.title = visible ? `${seat.room} – Chat` : "Chat";
  if (!changed) return;
  $(visible ? "message" : seat ? "room" : "name").focus();
}

$("join-form").addEventListener("submit", (event) => {
  event.preventDefault();
  sayTyping(false);
  join({ name: $("name").value.trim(), room: $("room").value.trim() });
});
$("switch").addEventListener("click", () => showChat(false));
$("cancel").addEventListener("click", () => showChat(true));

// --- Members -----------------------------------------------------------------------------------------------

socket.on("joined", ({ name, members }) => {
  showMembers(members);
  showNotice(`${name} joined`);
});

socket.on("left", ({ name, members }) => {
  showMembers(members);
  showNotice(`${name} left`);
  setTypist(name, false);
});

function showMembers(names) {
  $("members").replaceChildren(...names.map((name) => {
    const item = element("li", "", name);
    item.style.setProperty("--hue", hue(name));
    return item;
  }));
}

// --- Messages ----------------------------------------------------------------------------------------------

socket.on("message", (message) => {
  setTypist(message.author, false);
  showText(message);
});

socket.on("image", (image) => {
  setTypist(image.author, false);
  insert(messageItem(image, pictureOf(image)), image.id);
});

$("message-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("message").value.trim();
  $("message").value = "";
  sayTyping(false);
  if (text) sendOwn(element("span", "text", text), "message", text);
});

$("image").addEventListener("change", async () => {
  const file = $("image").files[0];
  $("image").value = ""; // the same file can be chosen again
  if (!file) return;
  $("error").textContent =
    !IMAGE_TYPES.includes(file.type) ? "This file cannot be sent: choose a PNG, JPEG, GIF, WebP or AVIF image"
    : file.size > IMAGE_LIMIT ? "This image is too large: at most 512 KiB can be sent"
    : "";
  if ($("error").textContent) return;
  const image = { name: file.name, type: file.type, data: await file.arrayBuffer() };
  sendOwn(pictureOf(image), "image", image);
});

/** Shows an own message as pending, sends it, and marks it when the server answers. */
function sendOwn(content, event, value) {
  const item = messageItem({ author: seat.name, at: Date.now() }, content);
  item.classList.add("own");
  atEnd = true;
  insert(item);
  deliver(item, event, value);
}

async function deliver(item, event, value) {
  $("error").textContent = "";
  item.classList.remove("failed");
  item.classList.add("pending");
  try {
    // While offline this waits in socket.io-client's buffer. It fails when the connection breaks before the
    // answer came: then nobody knows whether the server had the message, and the author decides.
    const answer = await socket.emitWithAck(event, value);
    if (answer.error) throw new Error(answer.error);
    shown(answer.id)?.remove(); // from a history that came before the answer
    item.dataset.id = answer.id;
    showTime(item.querySelector("time"), answer.at);
    item.classList.add("acked");
  } catch (error) {
    $("error").textContent = `A message was not sent: ${error.message}`;
    item.classList.add("failed");
    const again = element("button", "quiet", "Send again");
    again.type = "button";
    again.addEventListener("click", () => {
      again.remove();
      deliver(item, event, value);
    });
    item.append(again);
  }
  item.classList.remove("pending");
}

/** Shows a text message, unless it is there already: after a reconnection the history repeats what we know. */
function showText(message) {
  if (!shown(message.id)) insert(messageItem(message, element("span", "text", message.text)), message.id);
}

function shown(id) {
  return messages.querySelector(`[data-id="${Number(id)}"]`);
}

function showNotice(text) {
  insert(element("li", "notice", text));
}

function messageItem({ author, at }, content) {
  const item = element("li", "message");
  const name = element("span", "author", author);
  name.style.setProperty("--hue", hue(author));
  const time = element("time");
  showTime(time, at);
  item.append(name, time, content);
  return item;
}

/** An `<img>` made from the binary attachment; its blob is freed when the list is cleared. */
function pictureOf({ name, type, data }) {
  const picture = element("img");
  picture.alt = name;
  picture.addEventListener("load", keepAtEnd);
  picture.src = URL.createObjectURL(new Blob([data], { type }));
  return picture;
}

/** Inserts in the order of the ids, which grow with time; without an id at the end. */
function insert(item, id = Infinity) {
  if (Number.isFinite(id)) item.dataset.id = id;
  let next = null; // what the item goes in front of
  for (let last = messages.lastElementChild; last; last = last.previousElementSibling) {
    const known = last.classList.contains("notice") ? null : Number(last.dataset.id ?? Infinity);
    if (known !== null && known <= id) break;
    if (known !== null) next = last;
  }
  messages.insertBefore(item, next);
  keepAtEnd();
}

function clearMessages() {
  for (const picture of messages.querySelectorAll("img")) URL.revokeObjectURL(picture.src);
  messages.replaceChildren();
  atEnd = true;
  typists.clear();
  showTypists();
}

let atEnd = true; // the reader looks at the newest message, and wants to stay there
let lastTop = 0;

messages.addEventListener("scroll", () => {
  // A picture may have made the list longer since: only who scrolls up leaves the end.
  const near = messages.scrollHeight - messages.scrollTop - messages.clientHeight < 40;
  atEnd = near || (atEnd && messages.scrollTop >= lastTop);
  lastTop = messages.scrollTop;
});
new ResizeObserver(keepAtEnd).observe(messages);

function keepAtEnd() {
  if (atEnd) messages.scrollTop = messages.scrollHeight;
}

// --- Who is typing -----------------------------------------------------------------------------------------

const typists = new Map(); // name → timer
let said = false; // what we told the others last
let saidAt = 0;
let pause;

socket.on("typing", ({ name, typing }) => setTypist(name, typing));

function setTypist(name, typing) {
  clearTimeout(typists.get(name));
  typists.delete(name);
  if (typing) typists.set(name, setTimeout(setTypist, TYPING_EXPIRY, name, false));
  showTypists();
}

function showTypists() {
  const names = [...typists.keys()];
  $("typing").textContent =
    names.length === 0 ? ""
    : names.length === 1 ? `${names[0]} is typing…`
    : names.length === 2 ? `${names[0]} and ${names[1]} are typing…`
    : "Several people are typing…";
}

$("message").addEventListener("input", () => sayTyping($("message").value !== ""));

/** Tells the others, but not on each keystroke, and never later: only a connected socket says it. */
function sayTyping(typing) {
  clearTimeout(pause);
  if (typing) pause = setTimeout(sayTyping, TYPING_PAUSE, false);
  const repeat = typing && Date.now() - saidAt > TYPING_EXPIRY / 2;
  if (!socket.connected || !seat || (typing === said && !repeat)) return;
  said = typing;
  saidAt = Date.now();
  socket.volatile.emit("typing", typing);
}

// --- Small things ------------------------------------------------------------------------------------------

function element(tag, className = "", text = "") {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}

function showTime(time, at) {
  const date = new Date(at);
  time.dateTime = date.toISOString();
  time.textContent = date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
}

/** A colour for a name: the same on every page. */
function hue(name) {
  let hash = 0;
  for (const char of name) hash = (hash * 31 + char.codePointAt(0)) % 360;
  return hash;
}
