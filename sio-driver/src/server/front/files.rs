//! The bundles of the JavaScript client.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;
use std::{fs, io};

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Method, Response, StatusCode};
use sio_proto::engine::Coding;

use super::RequestHead;
use crate::server::Body;

/// What `socket.io/client-dist` has. Only these are ever read or served.
const NAMES: [&str; 8] = [
    "socket.io.esm.min.js",
    "socket.io.esm.min.js.map",
    "socket.io.js",
    "socket.io.js.map",
    "socket.io.min.js",
    "socket.io.min.js.map",
    "socket.io.msgpack.min.js",
    "socket.io.msgpack.min.js.map",
];

/// The files, in memory.
#[derive(Default)]
pub(crate) struct Files(Vec<File>);

struct File {
    name: &'static str,
    /// Of the plain content, without quotes.
    tag: String,
    plain: Bytes,
    packed: Vec<(Coding, Bytes)>,
}

impl Files {
    /// Reads those that are in a directory.
    pub(super) fn read(directory: &Path) -> io::Result<Self> {
        let mut files = Vec::new();
        for name in NAMES {
            let Some(plain) = read(&directory.join(name))? else { continue };
            let mut packed = Vec::new();
            for (coding, extension) in [(Coding::Brotli, "br"), (Coding::Gzip, "gz")] {
                let found = read(&directory.join(format!("{name}.{extension}")))?;
                packed.extend(found.map(|content| (coding, content)));
            }
            #[cfg(feature = "compression")]
            if !packed.iter().any(|(coding, _)| *coding == Coding::Gzip) {
                packed.push((Coding::Gzip, gzip(&plain)?));
            }
            let mut hasher = DefaultHasher::new();
            plain.hash(&mut hasher);
            files.push(File { name, tag: format!("{:016x}", hasher.finish()), plain, packed });
        }
        if files.is_empty() {
            let message = format!("no client bundle, such as socket.io.min.js, in {}", directory.display());
            return Err(io::Error::new(io::ErrorKind::NotFound, message));
        }
        Ok(Self(files))
    }

    /// The answer, if a file is asked for. `base` is the server's path.
    pub(crate) fn answer(&self, base: &str, request: &RequestHead) -> Option<Response<Body>> {
        let rest = request.uri.path().strip_prefix(base.trim_end_matches('/'))?;
        let name = rest.strip_prefix('/')?;
        let file = self.0.iter().find(|file| file.name == name)?;
        let with_body = match request.method {
            Method::GET => true,
            Method::HEAD => false,
            _ => return None,
        };
        Some(file.answer(request, with_body))
    }
}

impl File {
    fn answer(&self, request: &RequestHead, with_body: bool) -> Response<Body> {
        let offered: Vec<Coding> = self.packed.iter().map(|(coding, _)| *coding).collect();
        let accepted = request.header("accept-encoding");
        let coding = accepted.and_then(|header| Coding::negotiate(header, &offered));
        // Each form of a file has a tag of its own.
        let tag = match coding {
            Some(coding) => format!("\"{}-{}\"", self.tag, coding.name()),
            None => format!("\"{}\"", self.tag),
        };
        let mut response = Response::new(Body::default());
        let text = HeaderValue::from_static;
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, text("public, max-age=0"));
        headers.insert(header::VARY, text("Accept-Encoding"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, text("nosniff"));
        headers.extend(HeaderValue::try_from(&tag).ok().map(|tag| (header::ETAG, tag)));
        if is_known(request, &tag) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return response;
        }
        let content_type = if self.name.ends_with(".map") {
            "application/json; charset=utf-8"
        } else {
            "application/javascript; charset=utf-8"
        };
        headers.insert(header::CONTENT_TYPE, text(content_type));
        headers.extend(coding.map(|coding| (header::CONTENT_ENCODING, text(coding.name()))));
        let packed = self.packed.iter().find(|(of, _)| Some(*of) == coding).map(|(_, packed)| packed);
        let content = packed.unwrap_or(&self.plain).clone();
        if with_body {
            *response.body_mut() = Body::new(content);
        } else {
            headers.insert(header::CONTENT_LENGTH, content.len().into());
        }
        response
    }
}

/// Whether the client has this form already: RFC 9110, 13.1.2, where weak tags count too.
fn is_known(request: &RequestHead, tag: &str) -> bool {
    let values = request.headers.get_all(header::IF_NONE_MATCH).into_iter();
    let mut tags = values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    tags.any(|known| {
        let known = known.trim();
        known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag
    })
}

fn read(path: &Path) -> io::Result<Option<Bytes>> {
    match fs::read(path) {
        Ok(content) => Ok(Some(content.into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(feature = "compression")]
fn gzip(content: &[u8]) -> io::Result<Bytes> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    io::Write::write_all(&mut encoder, content)?;
    Ok(encoder.finish()?.into())
}
