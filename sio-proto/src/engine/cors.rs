//! Cross-origin resource sharing: which pages of other origins may talk to the server.

use alloc::borrow::Cow;
use alloc::string::{String, ToString as _};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use super::request::Head;
use super::response::Response;

/// Cross-origin rules, named as in the npm package `cors`.
///
/// They tell browsers which pages may read the answers. Pages of other origins, but for the server's own, are also refused on either
/// transport: see [`Config::check_origin`](super::Config::check_origin).
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
    success_status: u16,
    chooser: Option<Chooser>,
}

/// Rules of its own for each request.
#[derive(Clone)]
struct Chooser(Arc<Choose>);

type Choose = dyn Fn(&Head<'_>) -> Option<Cors> + Send + Sync;

impl fmt::Debug for Chooser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fn")
    }
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
            success_status: 204,
            chooser: None,
        }
    }

    /// Rules that are chosen for each request, by its head; `None` allows no other origin and adds no headers. What a chosen rule
    /// itself would choose does not count.
    ///
    /// ```
    /// use sio_proto::engine::Cors;
    ///
    /// let cors = Cors::per_request(|head| match head.host {
    ///     Some("api.example.com") => Some(Cors::new().origin("https://app.example.com")),
    ///     _ => None,
    /// });
    /// # let _ = cors;
    /// ```
    #[must_use]
    pub fn per_request(choose: impl Fn(&Head<'_>) -> Option<Self> + Send + Sync + 'static) -> Self {
        Self { chooser: Some(Chooser(Arc::new(choose))), ..Self::new() }
    }

    /// Rules that allow every origin, without credentials.
    #[must_use]
    pub fn permissive() -> Self {
        Self { origins: Origins::Any, ..Self::new() }
    }

    /// Allows one more origin, such as `https://app.example.com`; `*` allows every origin. It is compared with what browsers send,
    /// which is in lower case and has no default port; a `/` at the end, which they never send, is left out.
    #[must_use]
    pub fn origin(mut self, origin: impl Into<String>) -> Self {
        let mut origin = origin.into();
        origin.truncate(origin.trim_end_matches('/').len());
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

    /// The status of answers to preflights; some old browsers stumble over 204. Default: 204.
    #[must_use]
    pub fn options_success_status(mut self, status: u16) -> Self {
        self.success_status = status;
        self
    }

    /// The rules for a request.
    fn choose(&self, head: &Head<'_>) -> Option<Cow<'_, Self>> {
        match &self.chooser {
            Some(Chooser(choose)) => choose(head).map(Cow::Owned),
            None => Some(Cow::Borrowed(self)),
        }
    }

    /// The answer to a preflight request.
    pub(super) fn preflight(&self, head: &Head<'_>) -> Option<Response> {
        Some(self.choose(head)?.answer_preflight(head))
    }

    fn answer_preflight(&self, head: &Head<'_>) -> Response {
        let mut response = Response::new(self.success_status);
        self.add_headers(head.origin, &mut response);
        response.header("access-control-allow-methods", self.methods.clone());
        match (&self.allowed_headers, head.requested_headers) {
            (Some(headers), _) => response.header("access-control-allow-headers", headers.clone()),
            (None, requested) => {
                response.header("vary", "Access-Control-Request-Headers");
                if let Some(headers) = requested {
                    response.header("access-control-allow-headers", headers.to_string());
                }
            }
        }
        if let Some(age) = self.max_age {
            response.header("access-control-max-age", age.as_secs().to_string());
        }
        response.header("content-length", "0");
        response
    }

    /// Adds the headers that every answer gets.
    pub(super) fn apply(&self, head: &Head<'_>, response: &mut Response) {
        if let Some(rules) = self.choose(head) {
            rules.add_headers(head.origin, response);
        }
    }

    fn add_headers(&self, origin: Option<&str>, response: &mut Response) {
        if matches!(self.origins, Origins::Any) && !self.credentials {
            response.header("access-control-allow-origin", "*");
        } else {
            response.header("vary", "Origin");
            if let Some(origin) = origin.filter(|origin| self.admits(origin)) {
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

    /// Whether pages of this origin may use the server.
    pub(super) fn allows(&self, head: &Head<'_>, origin: &str) -> bool {
        self.choose(head).is_some_and(|rules| rules.admits(origin))
    }

    fn admits(&self, origin: &str) -> bool {
        match &self.origins {
            Origins::Any => true,
            Origins::List(list) => list.iter().any(|allowed| allowed == origin),
            Origins::Matching(allowed) => allowed(origin),
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    fn values<'a>(response: &'a Response, name: &str) -> Vec<&'a str> {
        response.headers.iter().filter(|(key, _)| *key == name).map(|(_, value)| &**value).collect()
    }

    fn answer(cors: &Cors, head: &Head<'_>) -> Response {
        let mut response = Response::new(200);
        cors.apply(head, &mut response);
        response
    }

    fn from(origin: &str) -> Head<'_> {
        Head { method: "OPTIONS", origin: Some(origin), ..Head::default() }
    }

    const ALLOW: &str = "access-control-allow-origin";

    #[test]
    fn origins_by_name_by_rule_and_by_request() {
        let list = Cors::new().origin("http://a.example").origin("http://b.example");
        let rule = Cors::new().origin_fn(|origin| origin.ends_with("b.example"));
        let chosen =
            Cors::per_request(|head| head.query.is_empty().then(|| Cors::new().origin("http://b.example")));
        for cors in [&list, &rule, &chosen] {
            let response = answer(cors, &from("http://b.example"));
            assert_eq!(
                (values(&response, ALLOW), values(&response, "vary")),
                (vec!["http://b.example"], vec!["Origin"])
            );
            assert_eq!(values(&answer(cors, &from("http://c.example")), ALLOW), [""; 0]);
            let nobody = answer(cors, &Head::default());
            assert_eq!(
                (values(&nobody, ALLOW), values(&nobody, "vary")),
                (vec![], vec!["Origin"]),
                "for caches"
            );
        }
        let other = Head { query: "x", ..from("http://b.example") };
        assert_eq!(answer(&chosen, &other).headers, []);
        assert_eq!(chosen.preflight(&other), None);
        let any = answer(&Cors::permissive(), &from("null"));
        assert_eq!((values(&any, ALLOW), values(&any, "vary")), (vec!["*"], vec![]));
        let any = answer(&Cors::permissive().credentials(true), &from("http://c.example"));
        assert_eq!((values(&any, ALLOW), values(&any, "vary")), (vec!["http://c.example"], vec!["Origin"]));
    }

    #[test]
    fn preflight_answers() {
        let response = Cors::permissive().preflight(&from("http://a.example")).unwrap();
        assert_eq!((response.status, values(&response, "content-length")), (204, vec!["0"]));
        assert_eq!(values(&response, "access-control-allow-methods"), ["GET,HEAD,PUT,PATCH,POST,DELETE"]);
        assert_eq!(values(&response, "vary"), ["Access-Control-Request-Headers"], "also if it asks for none");
        let head = Head { requested_headers: Some("x-a"), ..from("http://a.example") };
        let response = Cors::permissive().preflight(&head).unwrap();
        assert_eq!(values(&response, "access-control-allow-headers"), ["x-a"]);
        let all = Cors::permissive()
            .methods("GET")
            .allowed_headers("x-b")
            .exposed_headers("x-c")
            .max_age(Duration::from_secs(7))
            .options_success_status(200);
        let response = all.preflight(&head).unwrap();
        assert_eq!(response.status, 200);
        for (name, value) in [("methods", "GET"), ("headers", "x-b")] {
            assert_eq!(values(&response, &alloc::format!("access-control-allow-{name}")), [value]);
        }
        assert_eq!(values(&response, "access-control-max-age"), ["7"]);
        assert_eq!(values(&response, "access-control-expose-headers"), ["x-c"]);
        assert_eq!(values(&response, "vary"), [""; 0]);
    }
}
