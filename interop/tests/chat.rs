//! The chat examples with each other: two terminal clients and the server.

use core::net::SocketAddr;
use core::time::Duration;
use std::env;
use std::io::Write as _;
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::Receiver;

use interop::target::{KillOnDrop, expect_line};

/// Builds an example, and gives its program.
fn example(name: &str) -> String {
    let cargo = env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let build = ["build", "--message-format=json-render-diagnostics", "-p", "sio-tokio", "--example", name];
    let output = Command::new(cargo)
        .args(build)
        .current_dir(workspace)
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{name} builds");
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["name"] == name)
        .find_map(|message| message["executable"].as_str().map(str::to_owned))
        .expect("cargo names the program")
}

fn start(program: &str, args: &[&str], port: u16) -> (KillOnDrop, Receiver<String>, ChildStdin) {
    let child = Command::new(program)
        .args(args)
        .envs([("HOST", "127.0.0.1"), ("PORT", &port.to_string())])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the example starts");
    let mut child = KillOnDrop(child);
    let lines = child.lines();
    let stdin = child.0.stdin.take().expect("a pipe");
    (child, lines, stdin)
}

/// Waits for a line.
fn expect(lines: &Receiver<String>, wanted: &str) {
    let mut seen = Vec::new();
    while let Ok(line) = lines.recv_timeout(Duration::from_secs(30)) {
        if line == wanted {
            return;
        }
        seen.push(line);
    }
    panic!("no line {wanted:?}, but {seen:?}");
}

#[test]
fn two_people_chat_in_terminals_and_the_server_restarts() {
    let (server, client) = (example("chat"), example("chat_client"));
    let (first, lines, _stdin) = start(&server, &[], 0);
    let addr: SocketAddr = expect_line(&lines, "listening on http://");
    let url = format!("http://{addr}");

    let (_ann, ann, mut ann_types) = start(&client, &["Ann", "lobby", &url], 0);
    expect(&ann, "* in lobby, with Ann");
    let (_bob, bob, mut bob_types) = start(&client, &["Bob", "lobby", &url], 0);
    expect(&bob, "* in lobby, with Ann, Bob");
    expect(&ann, "* Bob is here, with Ann, Bob");
    writeln!(ann_types, "hello").expect("Ann types");
    expect(&bob, "Ann: hello");

    // What is written while the server is away arrives, in order, once both are back in their room.
    drop(first);
    expect(&ann, "* disconnected: transport close");
    writeln!(ann_types, "one\ntwo").expect("Ann types");
    let (_second, lines, _stdin) = start(&server, &[], addr.port());
    assert_eq!(expect_line(&lines, "listening on http://"), addr);
    expect(&bob, "* connected");
    writeln!(bob_types, "/quit").expect("Bob types");
    expect(&bob, "* disconnected: io client disconnect");
    let (_eve, eve, _eve_types) = start(&client, &["Eve", "lobby", &url], 0);
    expect(&eve, "Ann: one");
    expect(&eve, "Ann: two");
}
