//! The chat example in headless Chromium: `cargo test -p interop --test browser -- --ignored`.

use core::{net::SocketAddr, time::Duration};
use std::{
    env, fs,
    path::Path,
    process::{Command, Stdio},
};

use interop::{
    node,
    target::{KillOnDrop, expect_line},
};

/// Builds the chat example, starts it on a free port, and gives the address that it prints.
fn chat_server() -> (KillOnDrop, SocketAddr) {
    let cargo = env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let build = ["build", "--message-format=json-render-diagnostics", "-p", "sio-tokio", "--example", "chat"];
    let output = Command::new(cargo)
        .args(build)
        .current_dir(workspace)
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "the chat example builds");
    // Started by itself, not by `cargo run`: a child of a child would outlive the test.
    let program = String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["name"] == "chat")
        .find_map(|message| message["executable"].as_str().map(str::to_owned))
        .expect("cargo names the program");
    let child = Command::new(program)
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
