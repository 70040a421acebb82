//! The web page: our files from inside the program, and the browser client that npm installed.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use axum::{Router, http::header::CONTENT_TYPE, response::Html, routing::get};

const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

/// The page, and the client at `/client/socket.io.min.js`.
pub(crate) fn routes() -> io::Result<Router> {
    let client: &'static str = fs::read_to_string(client_path())?.leak(); // lives as long as the server
    let file = |content_type, content| get(move || async move { ([(CONTENT_TYPE, content_type)], content) });

    Ok(Router::new()
        .route("/", get(|| async { Html(include_str!("public/index.html")) }))
        .route("/chat.js", file(JAVASCRIPT, include_str!("public/chat.js")))
        .route("/style.css", file("text/css; charset=utf-8", include_str!("public/style.css")))
        .route("/client/socket.io.min.js", file(JAVASCRIPT, client)))
}

/// Runs `npm ci` if the client is not there yet, as in a fresh clone.
pub(crate) fn install_client() -> Result<(), String> {
    if client_path().exists() {
        return Ok(());
    }
    eprintln!("installing the browser client with npm, once …");
    let status = Command::new(if cfg!(windows) { "npm.cmd" } else { "npm" })
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
        .current_dir(folder())
        .stdin(Stdio::null())
        .stdout(io::stderr())
        .status()
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => "npm was not found: install Node.js, which has it".to_owned(),
            _ => format!("npm did not start: {error}"),
        })?;
    if !status.success() {
        return Err(format!("`npm ci` failed in {} ({status}): what it said is above", folder().display()));
    }
    if !client_path().exists() {
        return Err(format!("`npm ci` did not install {}", client_path().display()));
    }
    Ok(())
}

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/chat"))
}

fn client_path() -> PathBuf {
    folder().join("node_modules/socket.io-client/dist/socket.io.min.js")
}
