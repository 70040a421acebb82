//! The client on plain threads, among servers: the one on plain threads, and one that only polls, played by hand.

#[allow(dead_code, reason = "its `main` is not called")]
#[path = "../examples/blocking.rs"]
mod blocking;
#[allow(dead_code, reason = "its `main` is not called")]
#[path = "../examples/blocking_client.rs"]
mod blocking_client;

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use blocking_client::Connection;

fn hear(events: &Receiver<String>) -> String {
    events.recv_timeout(Duration::from_secs(10)).expect("an event")
}

#[test]
fn two_clients_talk_over_websockets() {
    let address = blocking::start(([127, 0, 0, 1], 0).into()).expect("a free port");
    // Polling comes first, which this server does not have.
    let join = |url: String| {
        let (events, heard) = mpsc::channel();
        let client = Connection::start(&url, events).expect("a URL");
        let first = hear(&heard);
        assert!(first.starts_with("connected as "), "{first}");
        (client, heard)
    };
    let (alice, heard_by_alice) = join(format!("http://{address}/?name=alice"));
    let (bob, heard_by_bob) = join(format!("http://{address}"));
    alice.emit("echo", "hello").unwrap();
    assert_eq!(hear(&heard_by_alice), r#"= ["hello"]"#);
    bob.emit("echo", &"x".repeat(100_000)).unwrap();
    assert_eq!(hear(&heard_by_bob).len(), 100_006);
    alice.close();
    assert_eq!(hear(&heard_by_alice), "disconnected: io client disconnect");
    assert!(alice.emit("echo", "too late").is_err());
    bob.emit("echo", "still here").unwrap();
    assert_eq!(hear(&heard_by_bob), r#"= ["still here"]"#);
    bob.close();
}

/// The head and the body of a request.
fn read_request(stream: &mut TcpStream) -> (String, String) {
    let mut text = String::new();
    let mut buffer = [0; 1024];
    loop {
        let count = stream.read(&mut buffer).expect("a request");
        text.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.rsplit_once("content-length: ").expect("a length").1;
        if body.len() == length.parse::<usize>().unwrap() {
            return (head.into(), body.into());
        }
    }
}

fn respond(mut stream: TcpStream, body: &str) {
    let answer =
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
    stream.write_all(answer.as_bytes()).expect("a client that reads");
}

#[test]
fn it_polls() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (say, said) = mpsc::channel::<&str>();
    let (posts, posted) = mpsc::channel();
    thread::spawn(move || {
        let said = std::sync::Arc::new(std::sync::Mutex::new(said));
        for mut stream in listener.incoming().flatten() {
            let (said, posts) = (said.clone(), posts.clone());
            thread::spawn(move || {
                let (head, body) = read_request(&mut stream);
                assert!(head.contains(" /socket.io/?EIO=4&transport=polling"), "{head}");
                assert!(head.contains("&room=1 HTTP"), "{head}");
                if head.starts_with("POST") {
                    posts.send(body).unwrap();
                    respond(stream, "ok");
                } else if head.contains("&sid=") {
                    // Without anything to say, the poll is not answered.
                    if let Ok(text) = said.lock().unwrap().recv() {
                        respond(stream, text);
                    }
                } else {
                    respond(stream, r#"0{"sid":"s","upgrades":[],"pingInterval":25000,"pingTimeout":20000}"#);
                }
            });
        }
    });
    let (events, heard) = mpsc::channel();
    let client = Connection::start(&format!("http://{address}/chat?room=1"), events).expect("a URL");
    let post = || posted.recv_timeout(Duration::from_secs(10)).expect("a POST");
    assert_eq!(post(), "40/chat,");
    say.send("40/chat,{\"sid\":\"abc\"}\u{1e}42/chat,[\"hello\",1]\u{1e}42/chat,7[\"ask\"]").unwrap();
    assert_eq!(hear(&heard), "connected as abc");
    assert_eq!(hear(&heard), "hello 1");
    assert_eq!(hear(&heard), "ask ");
    assert_eq!(post(), "43/chat,7[]");
    client.emit("hi", "there").unwrap();
    assert_eq!(post(), r#"42/chat,0["hi","there"]"#);
    say.send("43/chat,0[\"yes\"]").unwrap();
    assert_eq!(hear(&heard), r#"= ["yes"]"#);
    client.close();
    assert_eq!((post(), post()), ("41/chat,".into(), "1".into()));
}
