//! The chat example in headless Chromium: `cargo test -p interop --test browser -- --ignored`.

use core::{net::SocketAddr, time::Duration};
use std::{
    env, fs,
    path::Path,
    process::{Command, Stdio},
};

use interop::{
    chat, node,
    target::{KillOnDrop, expect_line},
};

/// Starts the chat example on a free port, and gives the address that it prints.
fn chat_server() -> (KillOnDrop, SocketAddr) {
    // Started by itself, not by `cargo run`: a child of a child would outlive the test.
    let child = Command::new(chat::program("chat"))
        .env("HOST", "127.0.0.1")
        .env("PORT", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the chat example starts");
    let mut child = KillOnDrop(child);
    let lines = child.lines();
    let addr = expect_line(&lines, "listening on http://");
    (child, addr)
}

#[test]
#[ignore = "needs Chromium, at /usr/bin/chromium or where CHROMIUM says"]
fn two_people_chat() {
    let chromium = env::var("CHROMIUM").unwrap_or_else(|_| "/usr/bin/chromium".into());
    assert!(Path::new(&chromium).exists(), "there is no Chromium at {chromium}: install it, or set CHROMIUM");
    let (_server, addr) = chat_server();
    let screenshot = node::artefacts().join("chat.png");
    let _ = fs::remove_file(&screenshot);
    let env = [
        ("CHAT_URL", format!("http://{addr}/")),
        ("CHROMIUM", chromium),
        ("SCREENSHOT", screenshot.display().to_string()),
    ];
    println!("{}", node::run(&["browser/chat.js"], &env, Duration::from_secs(150)));
    let size = fs::metadata(&screenshot).expect("a screenshot").len();
    assert!(size > 1000, "{} has {size} bytes", screenshot.display());
    println!("screenshot: {}", screenshot.display());
}
