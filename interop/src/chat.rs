//! The chat examples with each other: two terminal clients and the server.

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::HashMap;
use std::env;
use std::io::Write as _;
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::Receiver;

use crate::adapter::Adapter;
use crate::target::{KillOnDrop, expect_line};

/// The names of the examples: the server's, and that of the client in a terminal.
#[must_use]
pub fn examples(adapter: Adapter) -> (&'static str, &'static str) {
    match adapter {
        Adapter::Tokio => ("chat", "chat_client"),
        Adapter::Smol => ("smol_chat", "smol_chat_client"),
        Adapter::AsyncStd => ("async_std_chat", "async_std_chat_client"),
    }
}

/// The program of an example. All are built at the first call, as `cargo test --workspace` does, so that it need not be done twice.
///
/// # Panics
/// If cargo cannot build them.
#[must_use]
pub fn program(example: &str) -> &'static str {
    static PROGRAMS: OnceLock<HashMap<String, String>> = OnceLock::new();
    let programs = PROGRAMS.get_or_init(|| {
        let cargo = env::var("CARGO").unwrap_or_else(|_| "cargo".into());
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let build = ["build", "--message-format=json-render-diagnostics", "--workspace", "--examples"];
        let mut command = Command::new(cargo);
        // What cargo says of the package under test; build scripts that look at it would be run again, here and the next time.
        for (name, _) in env::vars_os() {
            let name = name.to_string_lossy();
            if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
                command.env_remove(&*name);
            }
        }
        let output =
            command.args(build).current_dir(workspace).stderr(Stdio::inherit()).output().expect("cargo runs");
        assert!(output.status.success(), "the examples build");
        String::from_utf8_lossy(&output.stdout)
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
            .filter_map(|message| {
                let name = message["target"]["name"].as_str()?.to_owned();
                Some((name, message["executable"].as_str()?.to_owned()))
            })
            .collect()
    });
    programs.get(example).unwrap_or_else(|| panic!("cargo names the program of {example}"))
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

/// Two people chat in terminals, and the server restarts.
///
/// # Panics
/// If they do not hear of each other.
pub fn across_a_restart(adapter: Adapter) {
    let (server, client) = examples(adapter);
    let (server, client) = (program(server), program(client));
    let (first, lines, _stdin) = start(server, &[], 0);
    let addr: SocketAddr = expect_line(&lines, "listening on http://");
    let url = format!("http://{addr}");

    let (_ann, ann, mut ann_types) = start(client, &["Ann", "lobby", &url], 0);
    expect(&ann, "* in lobby, with Ann");
    let (_bob, bob, mut bob_types) = start(client, &["Bob", "lobby", &url], 0);
    expect(&bob, "* in lobby, with Ann, Bob");
    expect(&ann, "* Bob is here, with Ann, Bob");
    writeln!(ann_types, "hello").expect("Ann types");
    expect(&bob, "Ann: hello");

    // What is written while the server is away arrives, in order, once both are back in their room.
    drop(first);
    expect(&ann, "* disconnected: transport close");
    writeln!(ann_types, "one\ntwo").expect("Ann types");
    let (_second, lines, _stdin) = start(server, &[], addr.port());
    assert_eq!(expect_line(&lines, "listening on http://"), addr);
    expect(&bob, "* connected");
    writeln!(bob_types, "/quit").expect("Bob types");
    expect(&bob, "* disconnected: io client disconnect");
    let (_eve, eve, _eve_types) = start(client, &["Eve", "lobby", &url], 0);
    expect(&eve, "Ann: one");
    expect(&eve, "Ann: two");
}
