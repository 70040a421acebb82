//! `js/lab-server.js` as a child process.

use core::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};
use std::{
    collections::HashMap,
    io::Write,
    process::{ChildStdin, Command, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    thread::{self, JoinHandle},
    time::Instant,
};

use serde_json::Value;
use tokio::sync::oneshot;

use super::{Log, Options};
use crate::{node, target::KillOnDrop};

type Answer = Result<Value, String>;

pub(super) struct Node {
    child: Mutex<KillOnDrop>,
    stdin: Mutex<ChildStdin>,
    waiting: Waiting,
    asked: AtomicU64,
    reader: Mutex<Option<JoinHandle<()>>>,
}

/// Who waits for the answer to which command.
type Waiting = Arc<Mutex<HashMap<u64, oneshot::Sender<Answer>>>>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Node {
    /// Starts it, and gives its port. Blocks.
    pub(super) fn start(options: &Options, log: Log) -> (Self, u16) {
        node::install();
        let child = Command::new(node::node())
            .arg("lab-server.js")
            .arg(serde_json::to_string(options).expect("options are JSON"))
            .current_dir(node::js_dir())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the lab's node server starts");
        let mut child = KillOnDrop(child);
        let stdin = child.0.stdin.take().expect("a piped stdin");
        let lines = child.lines();
        let waiting = Waiting::default();
        let (started, listening) = mpsc::channel();
        let reader = thread::spawn({
            let waiting = Arc::clone(&waiting);
            move || {
                for line in lines {
                    read(&line, &log, &waiting, &started);
                }
                lock(&waiting).clear();
            }
        });
        let port = listening.recv_timeout(Duration::from_secs(20)).expect("the lab's node server listens");
        let reader = Mutex::new(Some(reader));
        let node = Self {
            child: Mutex::new(child),
            stdin: Mutex::new(stdin),
            waiting,
            asked: AtomicU64::new(0),
            reader,
        };
        (node, port)
    }

    pub(super) async fn command(&self, command: Value) -> Answer {
        let id = self.asked.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        lock(&self.waiting).insert(id, sender);
        let line = serde_json::json!({ "id": id, "command": command });
        writeln!(lock(&self.stdin), "{line}").map_err(|error| error.to_string())?;
        receiver.await.unwrap_or_else(|_| Err("the server has ended".to_owned()))
    }

    /// Waits for its end, then kills it. Everything that it logged has been read afterwards. Blocks.
    pub(super) fn end(&self, patience: Duration) {
        let mut child = lock(&self.child);
        let end = Instant::now() + patience;
        while Instant::now() < end && matches!(child.0.try_wait(), Ok(None)) {
            thread::sleep(Duration::from_millis(5));
        }
        let _ = child.0.kill();
        let _ = child.0.wait();
        if let Some(reader) = lock(&self.reader).take() {
            let _ = reader.join();
        }
    }
}

fn read(line: &str, log: &Log, waiting: &Waiting, started: &mpsc::Sender<u16>) {
    let Ok(mut message) = serde_json::from_str::<Value>(line) else {
        eprintln!("lab-server.js: {line}");
        return;
    };
    if let Some(port) = message["listening"].as_u64() {
        let _ = started.send(port as u16);
    } else if let Some(name) = message["log"].as_str().map(str::to_owned) {
        log.push(&name, message["value"].take());
    } else if let Some(waiting) = message["id"].as_u64().and_then(|id| lock(waiting).remove(&id)) {
        let answer = match message["error"].as_str() {
            Some(error) => Err(error.to_owned()),
            None => Ok(message["ok"].take()),
        };
        let _ = waiting.send(answer);
    }
}
