//! `docs/metrics.md` lists all events of `tracing` and all metrics; and none of them tells a secret.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else {
            found.push(path);
        }
    }
}

/// What is between the parentheses that have just been opened.
fn arguments(source: &str) -> &str {
    let (mut depth, mut quoted, mut escaped) = (1, false, false);
    let end = source.find(|c| {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth -= 1,
            _ => {}
        }
        depth == 0
    });
    &source[..end.expect("an end")]
}

#[test]
fn every_event_and_metric_is_listed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let guide = fs::read_to_string(root.join("../docs/metrics.md")).unwrap();
    let rows: Vec<Vec<&str>> = guide
        .lines()
        .filter(|line| line.starts_with('|'))
        .map(|line| line.split('|').map(str::trim).collect())
        .collect();
    let mut files = Vec::new();
    sources(&root.join("src"), &mut files);
    let mut events = BTreeSet::new();
    let mut metrics = BTreeSet::new();
    let mut missing = Vec::new();
    for file in files {
        let source = fs::read_to_string(&file).unwrap();
        for level in ["error", "warn", "info", "debug", "trace"] {
            let macro_name = format!("tracing::{level}!(");
            for (at, _) in source.match_indices(&macro_name) {
                let arguments = arguments(&source[at + macro_name.len()..]);
                // The message comes last.
                let message =
                    arguments.trim_end().trim_end_matches(',').strip_suffix('"').expect("a message");
                let (fields, message) = message.rsplit_once('"').expect("a message");
                assert!(!fields.contains("sid"), "session ids are secret: {arguments}");
                let row = rows.iter().find(|row| row.len() > 4 && row[1] == level && row[2] == message);
                let Some(row) = row else {
                    missing.push(format!("| {level} | {message} | {fields} |"));
                    continue;
                };
                for field in fields.split(',').map(str::trim).filter(|field| !field.is_empty()) {
                    let name = field.split('=').next().unwrap_or_default().trim();
                    let name = name.trim_start_matches(['?', '%']).rsplit('.').next().unwrap_or_default();
                    assert!(row[3].contains(&format!("`{name}`")), "{level} {message:?} has {name}");
                }
                events.insert((level, message.to_owned()));
            }
        }
        let names = source.split('"').filter(|text| text.starts_with("sio_"));
        metrics.extend(
            names
                .filter(|name| !name.contains(|c: char| c != '_' && !c.is_ascii_lowercase()))
                .map(str::to_owned),
        );
    }
    assert!(missing.is_empty(), "not in the guide:\n{}", missing.join("\n"));
    assert!(events.len() > 30 && metrics.len() > 15, "they are found: {events:?} {metrics:?}");
    let levels = ["error", "warn", "info", "debug", "trace"];
    let listed = rows.iter().filter(|row| levels.contains(&row[1])).count();
    assert_eq!(listed, events.len(), "each has one row");
    let listed: BTreeSet<String> = rows
        .iter()
        .flat_map(|row| row[1].split(", "))
        .filter_map(|cell| Some(cell.strip_prefix('`')?.strip_suffix('`')?.to_owned()))
        .filter(|name| name.starts_with("sio_"))
        .collect();
    assert_eq!(listed, metrics);
}
