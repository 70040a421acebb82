//! What the chat in a terminal does, on any runtime: `crate::sio` is the runtime's crate.

use std::env;
use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use serde::{Deserialize, Serialize};

use crate::sio::{AckError, Client, ClientSocket, ConnectionError, Data, DisconnectReason, EmitError, Error};

const ANSWER: Duration = Duration::from_secs(5);

/// Who we are, and where.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Seat {
    name: String,
    room: String,
}

/// Shown when we connect, so that the server puts us back into our room before it hears anything else of us.
#[derive(Debug, Serialize)]
struct Hello {
    seat: Option<Seat>,
}

#[derive(Debug, Deserialize)]
struct Text {
    author: String,
    text: String,
}

#[derive(Debug, Deserialize)]
struct Picture {
    author: String,
    name: String,
    data: Bytes,
}

#[derive(Debug, Serialize)]
struct Upload {
    name: String,
    r#type: &'static str,
    data: Bytes,
}

#[derive(Debug, Deserialize)]
struct Presence {
    name: String,
    members: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Joined {
    members: Vec<String>,
    history: Vec<Text>,
}

/// An answer, or why there is none.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Reply<T> {
    Refused { error: String },
    Done(T),
}

type SharedSeat = Arc<Mutex<Option<Seat>>>;

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Chats until `lines`, which are what is typed, end.
pub(crate) async fn run(
    lines: impl Stream<Item = io::Result<String>>,
    spawn: impl Fn(Task),
) -> Result<(), Error> {
    let mut args = env::args().skip(1);
    let name = args.next().ok_or_else(|| Error::new("usage: chat_client NAME [ROOM] [URL]"))?;
    let room = args.next().unwrap_or_else(|| "lobby".into());
    let url = args.next().unwrap_or_else(|| "http://127.0.0.1:3000".into());

    let seat = SharedSeat::default();
    let remembered = seat.clone();
    let client: Client = Client::builder(url)
        .auth_with(move || {
            let seat = remembered.lock().unwrap_or_else(PoisonError::into_inner).clone();
            async move { Ok(Hello { seat }) }
        })
        .on("message", async |Data(text): Data<Text>| println!("{}: {}", text.author, text.text))
        .on("image", async |Data(picture): Data<Picture>| {
            println!("{} sends {} ({} bytes)", picture.author, picture.name, picture.data.len());
        })
        .on("joined", async |Data(who): Data<Presence>| {
            println!("* {} is here, with {}", who.name, who.members.join(", "));
        })
        .on("left", async |Data(who): Data<Presence>| println!("* {} has left", who.name))
        .on_connect(async |socket: ClientSocket| {
            println!("* connected{}", if socket.recovered() { ", and nothing was missed" } else { "" });
        })
        .on_connect_error(async |error: ConnectionError| println!("* not connected: {error}"))
        .on_disconnect(async |reason: DisconnectReason| println!("* disconnected: {reason}"))
        .build()?;

    join(&client, &seat, Seat { name: name.clone(), room }).await?;
    let mut lines = pin!(lines);
    while let Some(line) = lines.next().await {
        let line = line?;
        let line = line.trim();
        match line.split_once(' ').unwrap_or((line, "")) {
            ("", _) => {}
            ("/quit", _) => break,
            ("/room", room) => {
                let moved = join(&client, &seat, Seat { name: name.clone(), room: room.into() }).await;
                complain(moved);
            }
            ("/image", path) => match upload(Path::new(path)) {
                Ok(image) => send(&spawn, &client, "image", &image),
                Err(error) => println!("* {path}: {error}"),
            },
            _ => send(&spawn, &client, "message", line),
        }
    }
    client.close().await; // sends what waits
    Ok(())
}

/// Goes to a room, as soon as there is a connection, and shows what was said there.
async fn join(client: &Client, seat: &SharedSeat, wanted: Seat) -> Result<(), Error> {
    match client.emit_with_ack("join", &wanted).await? {
        Reply::Refused { error } => return Err(Error::new(error)),
        Reply::Done(Joined { members, history }) => {
            println!("* in {}, with {}", wanted.room, members.join(", "));
            history.iter().for_each(|text| println!("{}: {}", text.author, text.text));
        }
    }
    *seat.lock().unwrap_or_else(PoisonError::into_inner) = Some(wanted);
    Ok(())
}

/// Sends something, and complains if the server does not take it. Does not wait for that: the next line may follow at once, and arrives
/// after this one.
fn send<T: Serialize + ?Sized>(spawn: &impl Fn(Task), client: &Client, event: &str, what: &T) {
    let answer = client.emit_with_ack::<Reply<serde_json::Value>, _>(event, what).timeout(ANSWER).send();
    spawn(Box::pin(async move {
        match answer.await {
            Ok(Reply::Done(_)) => {}
            Ok(Reply::Refused { error }) => println!("* not sent: {error}"),
            Err(AckError::Timeout) => println!("* the server has not confirmed that yet"),
            Err(error) => complain(Err::<(), _>(error.into())),
        }
    }));
}

fn complain(result: Result<(), Error>) {
    if let Err(error) = result {
        match error.downcast_ref() {
            Some(EmitError::Full(_)) => println!("* too much waits to be sent"),
            _ => println!("* {error}"),
        }
    }
}

fn upload(path: &Path) -> io::Result<Upload> {
    let kind = match path.extension().and_then(|extension| extension.to_str()) {
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("gif") => "image/gif",
        Some("webp") => "image/webp",
        _ => "image/avif",
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Upload { name, r#type: kind, data: std::fs::read(path)?.into() })
}
