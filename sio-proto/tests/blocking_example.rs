//! The example on plain threads, and a client that talks to it.

#[allow(dead_code, reason = "its `main` is not called")]
#[path = "../examples/blocking.rs"]
mod blocking;

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use tungstenite::stream::MaybeTlsStream;
use tungstenite::{Message, WebSocket, connect};

struct Client(WebSocket<MaybeTlsStream<TcpStream>>);

impl Client {
    fn new(address: SocketAddr) -> Self {
        let url = format!("ws://{address}/socket.io/?EIO=4&transport=websocket");
        let (socket, _) = connect(url).expect("a handshake");
        let MaybeTlsStream::Plain(stream) = socket.get_ref() else { panic!("plain TCP") };
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut client = Self(socket);
        assert!(client.hear().starts_with(r#"0{"sid":""#));
        client.say("40");
        assert!(client.hear().starts_with(r#"40{"sid":""#));
        client
    }

    fn say(&mut self, text: &str) {
        self.0.send(Message::text(text)).expect("an open connection");
    }

    /// The next message; binary as `bin:…`, the end as `close`.
    fn hear(&mut self) -> String {
        match self.0.read().expect("a message") {
            Message::Text(text) => text.as_str().into(),
            Message::Binary(bytes) => format!("bin:{}", String::from_utf8_lossy(&bytes)),
            Message::Close(_) => "close".into(),
            Message::Pong(_) => "pong".into(),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn the_blocking_example_works() {
    let address = blocking::start(([127, 0, 0, 1], 0).into()).expect("a free port");
    let (mut alice, mut bob) = (Client::new(address), Client::new(address));

    alice.say(r#"42["echo","a",1]"#);
    assert_eq!(alice.hear(), r#"42["echo","a",1]"#);
    alice.say(r#"421["echo",{"x":null}]"#);
    assert_eq!(alice.hear(), r#"431[{"x":null}]"#);
    alice.say(r#"451-["echo",{"_placeholder":true,"num":0}]"#);
    alice.0.send(Message::binary("raw")).unwrap();
    assert_eq!(alice.hear(), r#"451-["echo",{"_placeholder":true,"num":0}]"#);
    assert_eq!(alice.hear(), "bin:raw");

    bob.say(r#"42["join","room"]"#);
    bob.say(r#"420["echo"]"#);
    assert_eq!(bob.hear(), "430[]", "bob is in");
    alice.say(r#"42["say","room","hello"]"#);
    assert_eq!(bob.hear(), r#"42["said","room","hello"]"#);
    alice.0.send(Message::Ping("x".into())).unwrap();
    assert_eq!(alice.hear(), "pong", "and not what was said to the room");

    bob.say("4nonsense");
    assert_eq!(bob.hear(), "close");
    let refused = connect(format!("ws://{address}/socket.io/?EIO=3&transport=websocket"));
    assert!(matches!(refused, Err(tungstenite::Error::Http(answer)) if answer.status() == 400));
}
