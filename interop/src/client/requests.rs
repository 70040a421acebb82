//! What the client's requests look like.

use crate::lab::{Lab, Options, Side};
use serde_json::{Value, json};

use super::common::{Watch, Way, ask, cut};

async fn logging(side: Side, options: Options) -> Lab {
    Lab::start(side, Options { requests: true, ..options }).await
}

fn url(request: &Value) -> &str {
    request["url"].as_str().unwrap_or_default()
}

/// Values of the query, as they came.
fn parameter<'a>(request: &'a Value, name: &str) -> Option<&'a str> {
    let (_, query) = url(request).split_once('?')?;
    query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

pub(crate) async fn carry_what_was_asked_for(side: Side, way: Way) {
    let lab = logging(side, Options::default()).await;
    let builder = way
        .builder(format!("{}/news?from=url&b=1%202", lab.url()))
        .query("c", "ä &=")
        .extra_header("x-one", "1")
        .extra_header("x-two", "2, 3");
    let client = way.connect(builder).await;
    assert_eq!(client.namespace().as_str(), "/news");
    assert_eq!(ask::<u32>(&client, "echo-ack", &7).await, 7);
    client.close().await;
    let requests = lab.seen("request").await;
    for request in &requests {
        assert_eq!(parameter(request, "EIO"), Some("4"), "{request}");
        assert_eq!(parameter(request, "from"), Some("url"), "{request}");
        assert_eq!(parameter(request, "b"), Some("1%202"), "{request}");
        assert_eq!(parameter(request, "c"), Some("%C3%A4%20%26%3D"), "{request}");
        assert_eq!(request["headers"]["x-one"], "1", "{request}");
        assert_eq!(request["headers"]["x-two"], "2, 3", "{request}");
        assert!(url(request).starts_with("/socket.io/?"), "{request}");
        let polling = parameter(request, "transport") == Some("polling");
        assert_eq!(parameter(request, "t").is_some(), polling, "against caches: {request}");
        if request["method"] == "POST" {
            assert_eq!(request["headers"]["content-type"], "text/plain;charset=UTF-8", "{request}");
        }
    }
    let websockets =
        requests.iter().filter(|request| parameter(request, "transport") == Some("websocket")).count();
    assert_eq!(websockets, usize::from(way != Way::Polling), "{requests:?}");
    assert_eq!(requests.len() > 1, way != Way::WebSocket, "{requests:?}");
    let mut times: Vec<_> = requests.iter().filter_map(|request| parameter(request, "t")).collect();
    let count = times.len();
    times.sort_unstable();
    times.dedup();
    assert_eq!(times.len(), count, "each another one");
}

pub(crate) async fn keep_cookies(side: Side, way: Way) {
    let lab = logging(side, Options { cookies: true, ..Options::default() }).await;
    let (builder, mut watch) = Watch::new(way.builder(lab.url()).cookies(true).extra_header("x-one", "1"));
    let client = way.connect(builder).await;
    watch.connected().await;
    let first = lab.seen("request").await;
    assert_eq!(first[0]["headers"]["cookie"], Value::Null);
    // All cookies are for the one server, whatever path they name, as in the reference.
    let all = if side == Side::Node && way == Way::WebSocket { "lab=kept" } else { "lab=kept; other=x" };
    let kept = |request: &Value| request["headers"]["cookie"] == all;
    for request in &first[1..] {
        assert!(kept(request), "{request}");
    }
    // Also with the next session.
    cut(&lab).await;
    watch.connected().await;
    for request in &lab.seen("request").await[first.len()..] {
        assert!(kept(request), "{request}");
    }
    client.close().await;
}

pub(crate) async fn forget_cookies(side: Side, way: Way) {
    let lab = logging(side, Options { cookies: true, ..Options::default() }).await;
    let client = way.connect(way.builder(lab.url())).await;
    ask::<i64>(&client, "sum", &(20, 22)).await;
    client.close().await;
    for request in lab.seen("request").await {
        assert_eq!(request["headers"]["cookie"], Value::Null, "{request}");
    }
}

pub(crate) async fn use_the_path(side: Side, way: Way) {
    let lab = logging(side, Options { path: "/other/path".to_owned(), ..Options::default() }).await;
    let client = way.connect(way.builder(lab.url()).path("/other/path")).await;
    assert_eq!(ask::<i64>(&client, "sum", &(20, 22)).await, 42);
    client.close().await;
    let requests = lab.seen("request").await;
    assert!(requests.iter().all(|request| url(request).starts_with("/other/path/?")), "{requests:?}");
    let lost = way.builder(lab.url()).connect().await.err();
    let lost = lost.map(|error| error.to_string()).unwrap_or_default();
    assert!(lost.contains("404") || way == Way::WebSocket, "{lost}");
}

/// What the application sees of it.
pub(crate) async fn tell_the_handshake(side: Side, way: Way) {
    let lab = logging(side, Options::default()).await;
    let builder = way.builder(format!("{}?a=b", lab.url())).extra_header("authorization", "Bearer token");
    let client = way.connect(builder).await;
    let handshake = ask::<Value>(&client, "handshake", &()).await;
    assert_eq!(handshake["headers"]["authorization"], "Bearer token");
    assert_eq!(handshake["headers"]["host"], json!(format!("127.0.0.1:{}", lab.port())));
    assert_eq!(parameter(&handshake, "a"), Some("b"));
    client.close().await;
}
