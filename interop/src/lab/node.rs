//! `js/lab-server.js` as a child process, which has all servers of this program.

use core::sync::atomic::{AtomicU64, Ordering};
use std::{
    collections::HashMap,
    io::Write,
    process::{ChildStdin, Command, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::{Log, Options};
use crate::{node, target::KillOnDrop};

type Answer = Result<Value, String>;

/// One server.
pub(super) struct Node {
    process: Arc<Process>,
    lab: u64,
}

struct Process {
    _child: KillOnDrop,
    stdin: Mutex<ChildStdin>,
    shared: Arc<Mutex<Shared>>,
    count: AtomicU64,
}

/// What whoever reads the output shares with those who ask.
#[derive(Default)]
struct Shared {
    has_ended: bool,
    /// Who waits for the answer to which request.
    waiting: HashMap<u64, oneshot::Sender<Answer>>,
    /// Where each server's log goes.
    logs: HashMap<u64, Log>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Node {
    /// Starts it, and gives its port.
    pub(super) async fn start(options: &Options, log: Log) -> (Self, u16) {
        let process = tokio::task::spawn_blocking(Process::get).await.expect("the lab's node program starts");
        let lab = process.count.fetch_add(1, Ordering::Relaxed);
        lock(&process.shared).logs.insert(lab, log);
        let port = process.ask(json!({ "lab": lab, "launch": options })).await;
        let port = port.expect("the lab's node server listens").as_u64().expect("a port");
        (Self { process, lab }, port as u16)
    }

    pub(super) async fn command(&self, command: Value) -> Answer {
        self.process.ask(json!({ "lab": self.lab, "command": command })).await
    }

    /// Ends it without a word to its clients. Everything that it logged has been read afterwards.
    pub(super) async fn end(&self) {
        self.command(json!({ "cmd": "end" })).await.expect("the lab's node server ends");
        lock(&self.process.shared).logs.remove(&self.lab);
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if lock(&self.process.shared).logs.remove(&self.lab).is_some() {
            let _ = self.process.write(json!({ "lab": self.lab, "command": { "cmd": "end" } }));
        }
    }
}

impl Process {
    /// The one of this program; another one if that has ended. Blocks.
    fn get() -> Arc<Self> {
        static PROCESS: Mutex<Option<Arc<Process>>> = Mutex::new(None);
        let mut process = lock(&PROCESS);
        match &*process {
            Some(process) if !lock(&process.shared).has_ended => Arc::clone(process),
            _ => Arc::clone(process.insert(Arc::new(Self::start()))),
        }
    }

    fn start() -> Self {
        node::install();
        let child = Command::new(node::node())
            .arg("lab-server.js")
            .current_dir(node::js_dir())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the lab's node program starts");
        let mut child = KillOnDrop(child);
        let stdin = child.0.stdin.take().expect("a piped stdin");
        let lines = child.lines();
        let shared = Arc::<Mutex<Shared>>::default();
        thread::spawn({
            let shared = Arc::clone(&shared);
            move || {
                for line in lines {
                    read(&line, &shared);
                }
                *lock(&shared) = Shared { has_ended: true, ..Shared::default() };
            }
        });
        Self { _child: child, stdin: Mutex::new(stdin), shared, count: AtomicU64::new(0) }
    }

    fn write(&self, request: Value) -> Result<(), String> {
        writeln!(lock(&self.stdin), "{request}").map_err(|error| error.to_string())
    }

    async fn ask(&self, mut request: Value) -> Answer {
        let id = self.count.fetch_add(1, Ordering::Relaxed);
        request["id"] = id.into();
        let (sender, receiver) = oneshot::channel();
        lock(&self.shared).waiting.insert(id, sender);
        self.write(request)?;
        receiver.await.unwrap_or_else(|_| Err("the program has ended".to_owned()))
    }
}

fn read(line: &str, shared: &Mutex<Shared>) {
    let Ok(mut message) = serde_json::from_str::<Value>(line) else {
        eprintln!("lab-server.js: {line}");
        return;
    };
    let mut shared = lock(shared);
    if let Some(name) = message["log"].as_str().map(str::to_owned) {
        if let Some(log) = message["lab"].as_u64().and_then(|lab| shared.logs.get(&lab)) {
            log.push(&name, message["value"].take());
        }
    } else if let Some(waiting) = message["id"].as_u64().and_then(|id| shared.waiting.remove(&id)) {
        let answer = match message["error"].as_str() {
            Some(error) => Err(error.to_owned()),
            None => Ok(message["ok"].take()),
        };
        let _ = waiting.send(answer);
    }
}
