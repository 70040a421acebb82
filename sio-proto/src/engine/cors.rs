//! Cross-origin resource sharing: which pages of other origins may talk to the server.

use alloc::string::{String, ToString as _};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use super::request::Head;
use super::response::Response;

/// Cross-origin rules, named as in the npm package `cors`.
///
/// They steer browsers only: a foreign origin gets no permission to read the answers, but its requests are served (B15).
///
/// ```
/// use sio_proto::engine::Cors;
///
/// let cors = Cors::new().origin("https://app.example.com").credentials(true);
/// # let _ = cors;
/// ```
#[derive(Clone, Debug)]
pub struct Cors {
    origins: Origins,
    credentials: bool,
    methods: String,
    allowed_headers: Option<String>,
    exposed_headers: Option<String>,
    max_age: Option<Duration>,
}

#[derive(Clone)]
enum Origins {
    Any,
    List(Vec<String>),
    Matching(Arc<dyn Fn(&str) -> bool + Send + Sync>),
}

impl fmt::Debug for Origins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::List(list) => list.fmt(f),
            Self::Matching(_) => f.write_str("Fn"),
        }
    }
}

impl Default for Cors {
    fn default() -> Self {
        Self::new()
    }
}

impl Cors {
    /// Rules that allow no origin yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            origins: Origins::List(Vec::new()),
            credentials: false,
            methods: "GET,HEAD,PUT,PATCH,POST,DELETE".into(),
            allowed_headers: None,
            exposed_headers: None,
            max_age: None,
        }
    }

    /// Rules that allow every origin, without credentials.
    #[must_use]
    pub fn permissive() -> Self {
        Self { origins: Origins::Any, ..Self::new() }
    }

    /// Allows one more origin, such as `https://app.example.com`; `*` allows every origin.
    #[must_use]
    pub fn origin(mut self, origin: impl Into<String>) -> Self {
        let origin = origin.into();
        match &mut self.origins {
            _ if origin == "*" => self.origins = Origins::Any,
            Origins::List(list) => list.push(origin),
            Origins::Any | Origins::Matching(_) => self.origins = Origins::List(Vec::from([origin])),
        }
        self
    }

    /// Allows the origins for which `allowed` says so.
    #[must_use]
    pub fn origin_fn(mut self, allowed: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        self.origins = Origins::Matching(Arc::new(allowed));
        self
    }

    /// Whether cookies and HTTP authentication are allowed. Default: no.
    ///
    /// With every origin allowed, the answer names the asking origin instead of `*`, which browsers refuse beside
    /// credentials. That opens the server's cookies to every page: name your origins instead.
    #[must_use]
    pub fn credentials(mut self, allowed: bool) -> Self {
        self.credentials = allowed;
        self
    }

    /// The methods that a preflight answer names, comma-separated. Default: `GET,HEAD,PUT,PATCH,POST,DELETE`.
    #[must_use]
    pub fn methods(mut self, methods: impl Into<String>) -> Self {
        self.methods = methods.into();
        self
    }

    /// The request headers that are allowed, comma-separated. Default: those that the preflight asks for.
    #[must_use]
    pub fn allowed_headers(mut self, headers: impl Into<String>) -> Self {
        self.allowed_headers = Some(headers.into());
        self
    }

    /// The response headers that scripts may read, comma-separated. Default: none.
    #[must_use]
    pub fn exposed_headers(mut self, headers: impl Into<String>) -> Self {
        self.exposed_headers = Some(headers.into());
        self
    }

    /// How long a browser may keep a preflight answer. Default: the browser's choice.
    #[must_use]
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// The answer to a preflight request.
    pub(super) fn preflight(&self, head: &Head<'_>) -> Response {
        let mut response = Response::new(204);
        self.apply(head.origin, &mut response);
        response.header("access-control-allow-methods", self.methods.clone());
        match (&self.allowed_headers, head.requested_headers) {
            (Some(headers), _) => response.header("access-control-allow-headers", headers.clone()),
            (None, Some(headers)) => {
                response.header("vary", "Access-Control-Request-Headers");
                response.header("access-control-allow-headers", headers.to_string());
            }
            (None, None) => {}
        }
        if let Some(age) = self.max_age {
            response.header("access-control-max-age", age.as_secs().to_string());
        }
        response.header("content-length", "0");
        response
    }

    /// Adds the headers that every answer gets.
    pub(super) fn apply(&self, origin: Option<&str>, response: &mut Response) {
        if matches!(self.origins, Origins::Any) && !self.credentials {
            response.header("access-control-allow-origin", "*");
        } else {
            response.header("vary", "Origin");
            if let Some(origin) = origin.filter(|origin| self.allows(origin)) {
                response.header("access-control-allow-origin", origin.to_string());
            }
        }
        if self.credentials {
            response.header("access-control-allow-credentials", "true");
        }
        if let Some(headers) = &self.exposed_headers {
            response.header("access-control-expose-headers", headers.clone());
        }
    }

    fn allows(&self, origin: &str) -> bool {
        match &self.origins {
            Origins::Any => true,
            Origins::List(list) => list.iter().any(|allowed| allowed == origin),
            Origins::Matching(allowed) => allowed(origin),
        }
    }
}
