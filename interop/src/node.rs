//! Node: finding it, installing the npm packages, running a script under a bound.

use core::{fmt::Write as _, time::Duration};
use std::{
    env, fs,
    io::{self, Read},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::OnceLock,
    thread,
    time::Instant,
};

use crate::target::{KillOnDrop, Kind, Profile, Target};

/// The oldest node that the scripts run on.
const OLDEST: u32 = 20;

/// The folder with the scripts.
#[must_use]
pub fn js_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("js")
}

/// The folder for what a test run leaves behind, below the target directory.
///
/// # Panics
/// If it cannot be created.
#[must_use]
pub fn artefacts() -> PathBuf {
    let target = env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"), PathBuf::from);
    let folder = target.join("interop");
    fs::create_dir_all(&folder).expect("the folder for test artefacts can be created");
    folder
}

/// The node program: `NODE` from the environment, or `node` on the path.
///
/// # Panics
/// If there is none, or an old one, saying what is missing.
#[must_use]
pub fn node() -> &'static str {
    static NODE: OnceLock<String> = OnceLock::new();
    NODE.get_or_init(|| {
        let program = env::var("NODE").unwrap_or_else(|_| "node".into());
        let version = version_of(&program).unwrap_or_else(|error| {
            panic!(
                "these tests drive the official JavaScript client and need node {OLDEST} or later with npm: \
                 \"{program} --version\" gave: {error}. Install Node.js, or set NODE to its program."
            )
        });
        let major =
            version.trim_start_matches('v').split('.').next().and_then(|text| text.parse::<u32>().ok());
        assert!(
            major.is_some_and(|major| major >= OLDEST),
            "these tests need node {OLDEST} or later, but \"{program}\" is {version}"
        );
        program
    })
}

fn version_of(program: &str) -> io::Result<String> {
    let output = Command::new(program).arg("--version").output()?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    } else {
        Err(io::Error::other(output.status.to_string()))
    }
}

/// Installs the npm packages unless those of `package-lock.json` are there already.
///
/// # Panics
/// If npm is missing or fails, with its output.
pub fn install() {
    static DONE: OnceLock<()> = OnceLock::new();
    DONE.get_or_init(|| {
        let _ = node();
        let dir = js_dir();
        let wanted = fs::read(dir.join("package-lock.json")).expect("js/package-lock.json is there");
        let stamp = dir.join("node_modules/.installed-package-lock.json");
        let current = || fs::read(&stamp).is_ok_and(|installed| installed == wanted);
        if current() {
            return;
        }
        // Test programs may run side by side; one of them installs.
        let _turn = Turn::take(&dir.join(".install-lock"));
        if current() {
            return;
        }
        let npm = env::var("NPM").unwrap_or_else(|_| "npm".into());
        let child = Command::new(&npm)
            .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
            .current_dir(&dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("npm is needed to install the JavaScript peers, but \"{npm}\" cannot be run: {error}")
            });
        let (status, output) = finish(child, Duration::from_secs(300));
        assert!(
            status.is_some_and(|status| status.success()),
            "\"npm ci\" in {} failed ({status:?}):\n{output}",
            dir.display()
        );
        fs::write(&stamp, &wanted).expect("node_modules can be written");
    });
}

/// The turn of one process, held by a file that only one can create.
struct Turn(PathBuf);

impl Turn {
    fn take(path: &Path) -> Self {
        let begun = Instant::now();
        loop {
            match fs::OpenOptions::new().write(true).create_new(true).open(path) {
                Ok(_) => return Self(path.to_owned()),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    // A process that died while it held the turn leaves the file behind.
                    let age = fs::metadata(path).and_then(|meta| meta.modified()).map(|time| time.elapsed());
                    if matches!(age, Ok(Ok(age)) if age > Duration::from_secs(330)) {
                        let _ = fs::remove_file(path);
                    }
                    assert!(begun.elapsed() < Duration::from_secs(400), "{} never goes away", path.display());
                    thread::sleep(Duration::from_millis(100));
                }
                Err(error) => panic!("{} cannot be created: {error}", path.display()),
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Waits for a child whose output is piped, kills it at the end of the time. No status means that it was killed.
fn finish(child: Child, limit: Duration) -> (Option<ExitStatus>, String) {
    let mut child = KillOnDrop(child);
    let collect = |stream: Option<Box<dyn Read + Send>>| {
        thread::spawn(move || {
            let mut bytes = Vec::new();
            if let Some(mut stream) = stream {
                let _ = stream.read_to_end(&mut bytes);
            }
            String::from_utf8_lossy(&bytes).into_owned()
        })
    };
    let stdout = collect(child.0.stdout.take().map(|stream| Box::new(stream) as _));
    let stderr = collect(child.0.stderr.take().map(|stream| Box::new(stream) as _));
    let end = Instant::now() + limit;
    let status = loop {
        match child.0.try_wait().expect("a child can be waited for") {
            Some(status) => break Some(status),
            None if Instant::now() >= end => break None,
            None => thread::sleep(Duration::from_millis(20)),
        }
    };
    drop(child);
    let mut output = stdout.join().unwrap_or_default();
    let errors = stderr.join().unwrap_or_default();
    if !errors.is_empty() {
        let _ = write!(output, "\n--- stderr ---\n{errors}");
    }
    (status, output)
}

/// Runs a script under a bound and gives what it printed.
///
/// # Panics
/// If it fails or does not end in time, with its output.
pub fn run(args: &[&str], env: &[(&str, String)], limit: Duration) -> String {
    install();
    let child = Command::new(node())
        .args(args)
        .envs(env.iter().map(|(name, value)| (name, value)))
        .current_dir(js_dir())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("node starts");
    let (status, output) = finish(child, limit);
    match status {
        Some(status) if status.success() => output,
        Some(status) => panic!("node {args:?} failed ({status}):\n{output}"),
        None => panic!("node {args:?} did not end within {limit:?}:\n{output}"),
    }
}

/// Runs `js/test/TOPIC.test.js` against a server started for it.
///
/// # Panics
/// If a test of the file fails, or if the file runs none.
pub fn run_test_file(kind: Kind, profile: Profile, topic: &str) {
    let target = Target::start(kind, profile);
    let env = [("SIO_URL", format!("http://{}", target.addr)), ("SIO_CONTROL", target.control.to_string())];
    let file = format!("test/{topic}.test.js");
    let output = run(&["--test-reporter=tap", &file], &env, Duration::from_secs(240));
    println!("{output}");
    let passed = output.lines().find_map(|line| line.strip_prefix("# pass ")?.trim().parse::<u32>().ok());
    assert!(passed.is_some_and(|count| count > 0), "{file} ran no test:\n{output}");
}

/// Writes a `#[test]` for each file of `js/test`: `interop::node_client_tests!(Kind::Ours);`
#[macro_export]
macro_rules! node_client_tests {
    ($kind:expr) => {
        $crate::node_client_tests! {
            $kind, Default: events conn binary acks namespaces dynamic rooms disconnect transports reconnect many
        }
        $crate::node_client_tests! {
            $kind, Default: extras_events extras_rooms extras_leaving extras_volume
        }
        $crate::node_client_tests! { $kind, Quick: heartbeat }
        $crate::node_client_tests! { $kind, Recovery: recovery }
        $crate::node_client_tests! { $kind, Eio3: v2_client v2_mixed v2_raw }
        $crate::node_client_tests! { $kind, Eio3Quick: v2_heartbeat }
        $crate::node_client_tests! { $kind, Default: v2_refused }
        $crate::node_client_tests! { $kind, Msgpack: msgpack }
        $crate::node_client_tests! { $kind, MsgpackRecovery: msgpack_recovery }
    };
    ($kind:expr, $profile:ident: $($topic:ident)*) => {$(
        #[test]
        fn $topic() {
            $crate::node::run_test_file($kind, $crate::target::Profile::$profile, stringify!($topic));
        }
    )*};
}
