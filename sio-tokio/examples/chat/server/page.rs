//! The web page: our files from inside the program, and the browser client that npm installed.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use bytes::Bytes;
use hyper::{
    Response, StatusCode,
    header::{CONTENT_TYPE, HeaderValue},
};

use crate::sio::{Body, Error};

/// The page, and the client at `/client/socket.io.min.js`.
#[derive(Clone)]
pub(crate) struct Page {
    client: Bytes,
}

impl Page {
    /// Installs the client first, if need be.
    pub(crate) fn load() -> Result<Self, Error> {
        install_client().map_err(Error::new)?;
        Ok(Self { client: fs::read(client_path())?.into() })
    }

    pub(crate) fn answer(&self, path: &str) -> Response<Body> {
        let javascript = "text/javascript; charset=utf-8";
        let (kind, content) = match path {
            "/" => ("text/html; charset=utf-8", include_str!("../public/index.html").into()),
            "/chat.js" => (javascript, include_str!("../public/chat.js").into()),
            "/style.css" => ("text/css; charset=utf-8", include_str!("../public/style.css").into()),
            "/client/socket.io.min.js" => (javascript, self.client.clone()),
            _ => return not_found(),
        };
        let mut response = Response::new(Body::new(content));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        response
    }
}

fn not_found() -> Response<Body> {
    let mut response = Response::new(Body::default());
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}

/// Runs `npm ci` if the client is not there yet, as in a fresh clone.
fn install_client() -> Result<(), String> {
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
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../sio-tokio/examples/chat"))
}

fn client_path() -> PathBuf {
    folder().join("node_modules/socket.io-client/dist/socket.io.min.js")
}
