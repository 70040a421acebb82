// Two people on the chat page, each in a window of headless Chromium.
//
//   CHAT_URL      the page
//   CHROMIUM      the browser's program (default /usr/bin/chromium)
//   SCREENSHOT    where the picture of the first window goes
//
// What the page must offer: #name, #room and #join-form; #message and #message-form; #messages with items
// li.message that hold .author and .text or an img; #image (a file input); #typing; #status. An own message gets the
// class "acked" when the server has it.
"use strict";

const assert = require("node:assert/strict");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const zlib = require("node:zlib");
const { chromium } = require("playwright-core");

const { CHAT_URL, CHROMIUM = "/usr/bin/chromium", SCREENSHOT } = process.env;
const STEP = 15_000; // ms

// A PNG of 240 × 160 pixels in two colours, made here so that no file has to be kept.
function picture() {
  const [width, height] = [240, 160];
  const rows = Buffer.concat(
    Array.from({ length: height }, (_, y) =>
      Buffer.from([0, ...Array.from({ length: width }, (_, x) => ((x >> 5) + (y >> 5)) % 2 ? [230, 90, 30] : [20, 70, 160]).flat()]),
    ),
  );
  const chunk = (type, data) => {
    const body = Buffer.concat([Buffer.from(type), data]);
    const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
    length.writeUInt32BE(data.length);
    sum.writeUInt32BE(crc32(body));
    return Buffer.concat([length, body, sum]);
  };
  const header = Buffer.from([0, 0, 0, width, 0, 0, 0, height, 8, 2, 0, 0, 0]);
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([signature, chunk("IHDR", header), chunk("IDAT", zlib.deflateSync(rows)), chunk("IEND", Buffer.alloc(0))]);
}

function crc32(bytes) {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}

async function enter(page, name, room) {
  await page.goto(CHAT_URL);
  await page.locator("#status", { hasText: /^connected$/ }).waitFor();
  await page.fill("#name", name);
  const field = page.locator("#room");
  if (await field.evaluate((element) => element.tagName === "SELECT")) await field.selectOption(room);
  else await field.fill(room);
  await page.locator("#join-form [type=submit]").click();
  await page.locator("#message").waitFor({ state: "visible" });
}

async function say(page, text) {
  await page.fill("#message", text);
  await page.press("#message", "Enter");
  await page.locator("li.message.acked", { hasText: text }).waitFor();
}

// What somebody sees of the conversation.
const conversation = (page) =>
  page.locator("#messages li.message").evaluateAll((items) =>
    items.map((item) => {
      const img = item.querySelector("img");
      return [item.querySelector(".author").textContent, img ? `${img.naturalWidth}x${img.naturalHeight}` : item.querySelector(".text").textContent];
    }),
  );

async function main() {
  assert.ok(CHAT_URL, "CHAT_URL names the page");
  const profile = fs.mkdtempSync(path.join(os.tmpdir(), "sio-chat-"));
  const browser = await chromium.launch({
    executablePath: CHROMIUM,
    headless: true,
    timeout: 60_000,
    args: [
      "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
      "--disable-background-networking", "--disable-component-update", "--disable-sync",
    ],
    env: { ...process.env, HOME: profile },
  });
  try {
    const errors = [];
    const [ada, bob, eve] = await Promise.all(
      ["ada", "bob", "eve"].map(async (name) => {
        const page = await (await browser.newContext({ viewport: { width: 900, height: 640 } })).newPage();
        page.setDefaultTimeout(STEP);
        page.on("pageerror", (error) => errors.push(`${name}: ${error}`));
        page.on("console", (message) => message.type() === "error" && errors.push(`${name}: ${message.text()}`));
        return page;
      }),
    );
    await enter(ada, "Ada", "tea");
    await enter(bob, "Bob", "tea");
    await enter(eve, "Eve", "cake");

    // Who types is shown to the others in the room.
    await ada.locator("#message").pressSequentially("He", { delay: 20 });
    await bob.locator("#typing", { hasText: "Ada" }).waitFor();
    assert.ok(!(await eve.locator("#typing").textContent()).includes("Ada"), "typing stays in the room");

    // Text, both ways; what looks like markup stays text.
    await say(ada, "Hello Bob, größer als 中 🎉");
    await bob.locator("li.message .text", { hasText: "größer als 中 🎉" }).waitFor();
    await say(bob, "<img src=x onerror=alert(1)> & <b>bold</b>");
    await ada.locator("li.message .text", { hasText: "<img src=x onerror=alert(1)> & <b>bold</b>" }).waitFor();

    // An image arrives as bytes, and is drawn.
    await ada.setInputFiles("#image", { name: "squares.png", mimeType: "image/png", buffer: picture() });
    await ada.locator("li.message.acked img").waitFor();
    await bob.locator("li.message img").waitFor();
    await bob.waitForFunction(() => document.querySelector("li.message img")?.naturalWidth > 0);
    await ada.waitForFunction(() => document.querySelector("li.message img")?.naturalWidth > 0);

    const wanted = [
      ["Ada", "Hello Bob, größer als 中 🎉"],
      ["Bob", "<img src=x onerror=alert(1)> & <b>bold</b>"],
      ["Ada", "240x160"],
    ];
    assert.deepEqual(await conversation(ada), wanted);
    assert.deepEqual(await conversation(bob), wanted);
    assert.deepEqual(await conversation(eve), [], "another room hears nothing");

    if (SCREENSHOT) await bob.screenshot({ path: SCREENSHOT });
    assert.deepEqual(errors, []);
    console.log("chat: ok");
  } finally {
    await browser.close();
    fs.rmSync(profile, { recursive: true, force: true });
  }
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
