//! Stories that the official client tells of a lab: that the lab is right, and that our server is.

use core::time::Duration;
use std::{
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
};

use serde_json::{Value, json};
use tokio::{task::spawn_blocking, time::timeout};

use crate::{
    lab::{Authority, Lab, Options, ServerTls, Side},
    node,
    target::KillOnDrop,
};

/// Runs one story of `js/lab-check.js`, and does for it what it asks for.
///
/// # Panics
/// If something is not as the story says.
pub async fn run(side: Side, options: Options, name: &'static str, ca: Option<String>) {
    let lab = Lab::start(side, options).await;
    let run = async {
        let child = Command::new(node::node())
            .args(["lab-check.js", name])
            .current_dir(node::js_dir())
            .env("SIO_URL", lab.url())
            .env("SIO_SIDE", if side == Side::Node { "node" } else { "ours" })
            .envs(ca.map(|ca| ("SIO_CA", ca)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node starts");
        let mut child = KillOnDrop(child);
        let mut stdin = child.0.stdin.take().expect("a piped stdin");
        let mut lines = BufReader::new(child.0.stdout.take().expect("a piped stdout")).lines();
        loop {
            let (line, rest) = spawn_blocking(move || (lines.next(), lines)).await.expect("a line");
            lines = rest;
            let Some(Ok(line)) = line else { break };
            let message: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"));
            let answer = obey(&lab, &message).await;
            writeln!(stdin, "{answer}").expect("the script listens");
        }
        let status = child.0.wait().expect("the script ends");
        assert!(status.success(), "{name}: {status}");
    };
    timeout(Duration::from_secs(90), run).await.unwrap_or_else(|_| panic!("{name} does not end"));
    lab.stop().await;
}

async fn obey(lab: &Lab, message: &Value) -> Value {
    if let Some(command) = message.get("command") {
        return match lab.try_command(command.clone()).await {
            Ok(answer) => json!({ "ok": answer }),
            Err(error) => json!({ "error": error }),
        };
    }
    let name = message["name"].as_str().unwrap_or_default();
    match message["lab"].as_str().unwrap_or_default() {
        "kill" => lab.kill().await,
        "start" => lab.start_again().await,
        "clear" => lab.log().clear(name),
        "log" => return lab.seen(name).await.into(),
        other => panic!("no \"{other}\""),
    }
    Value::Null
}

/// The story `talk`, over TLS.
///
/// # Panics
/// If something is not as the story says.
pub async fn run_with_tls(side: Side) {
    let root = Authority::new();
    let tls = ServerTls { identity: root.server(&["localhost", "127.0.0.1"]), client_root: None };
    let options = Options { tls: Some(tls), ..Options::default() };
    run(side, options, "talk", Some(root.pem().to_owned())).await;
}

/// Writes a test for each story, on one side: `interop::stories!(Node);`
#[macro_export]
macro_rules! stories {
    ($side:ident) => {
        $crate::stories! {
            $side:
            talk(Options::default());
            namespaces(Options::default());
            leaving(Options::default());
            restart(Options::default());
            retries(Options::default());
            requests(Options { requests: true, cookies: true, ..Options::default() });
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn tls() {
            $crate::stories::run_with_tls($crate::lab::Side::$side).await;
        }
    };
    ($side:ident: $($name:ident($options:expr);)*) => {
        use $crate::lab::Options;

        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                $crate::stories::run($crate::lab::Side::$side, $options, stringify!($name), None).await;
            }
        )*
    };
}
