//! A chat: rooms, who is typing, images as binary, acknowledged messages, and its web page, all on one port; on any runtime, whose crate
//! is `crate::sio`.

mod page;
mod room;

use std::{
    convert::Infallible,
    env,
    future::Future,
    io,
    net::{SocketAddr, ToSocketAddrs as _},
    pin::{Pin, pin},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use futures_util::future::{Either, abortable, pending, select};
use hyper::{
    rt::{Read, Write},
    server::conn::http1,
    service::service_fn,
};
use serde::{Deserialize, Serialize};

use crate::sio::{Ack, Auth, Data, Error, Server, Socket, State};
use room::{Chat, Post, Receipt, Seat, Text};

const MAX_TEXT: usize = 2000; // characters
const MAX_FILE_NAME: usize = 255;
const MAX_IMAGE: usize = 512 * 1024; // bytes
/// The formats that browsers draw, but not SVG, which is a document with scripts.
const IMAGE_TYPES: [&str; 5] = ["image/png", "image/jpeg", "image/gif", "image/webp", "image/avif"];

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Where to listen: `HOST` and `PORT`.
pub(crate) fn address() -> Result<SocketAddr, Error> {
    let host = env::var("HOST").unwrap_or_else(|_| "127.0.0.1".to_owned());
    let port = env::var("PORT").map_or(Ok(3000), |port| port.parse());
    let port = port.map_err(|error| Error::new(format!("PORT: {error}")))?;
    let found = (host.as_str(), port).to_socket_addrs()?.next();
    found.ok_or_else(|| Error::new(format!("{host} has no address")))
}

/// Serves the chat until Ctrl-C is pressed.
pub(crate) async fn run<S>(
    address: SocketAddr,
    accept: impl AsyncFn() -> io::Result<(S, SocketAddr)>,
    spawn: impl Fn(Task),
) -> Result<(), Error>
where
    S: Read + Write + Unpin + Send + 'static,
{
    let page = page::Page::load()?;
    let io = Server::builder().state(Shared::default()).build();
    io.of("/")
        .on_connect(resume)
        .on("join", join)
        .on("message", message)
        .on("image", image)
        .on("typing", typing)
        .on_disconnect(leave);

    let (ctrl_c, handle) = abortable(pending::<()>());
    ctrlc::set_handler(move || handle.abort())?;
    println!("listening on http://{address}");

    let serving = async {
        loop {
            match accept().await {
                Ok((stream, remote)) => spawn(Box::pin(connection(io.clone(), page.clone(), stream, remote))),
                // Such as a client that was gone already.
                Err(error) => eprintln!("not accepted: {error}"),
            }
        }
    };
    // Connections are accepted until the end: clients need them for what they are still to be told.
    let closing = async {
        let _ = ctrl_c.await;
        io.close().await;
    };
    match select(pin!(serving), pin!(closing)).await {
        Either::Left((never, _)) => never,
        Either::Right(((), _)) => Ok(()),
    }
}

/// Serves a connection: Socket.IO has its path, and the page all others.
async fn connection<S>(io: Server, page: page::Page, stream: S, remote: SocketAddr)
where
    S: Read + Write + Unpin + Send + 'static,
{
    let service = service_fn(async |request| {
        let path = request.uri().path();
        Ok::<_, Infallible>(if io.matches_path(path) {
            io.handle(request, Some(remote)).await
        } else {
            page.answer(path)
        })
    });
    // WebSockets go on by themselves. An error says that the client is gone.
    let _ = http1::Builder::new().serve_connection(stream, service).with_upgrades().await;
}

// --- What travels; the rest of it is in `room` -------------------------------------------------------------

/// What a client presents when it connects: where it was before the connection broke.
#[derive(Debug, Deserialize)]
struct Hello {
    seat: Option<Seat>,
}

/// The answer to `join`.
#[derive(Debug, Serialize)]
struct Joined {
    #[serde(flatten)]
    seat: Seat,
    members: Vec<String>,
    history: Vec<Post<Text>>,
}

/// Somebody came or went.
#[derive(Debug, Serialize)]
struct Presence {
    name: String,
    members: Vec<String>,
}

/// An image; `data` is a binary attachment.
#[derive(Debug, Serialize, Deserialize)]
struct Image {
    name: String,
    r#type: String,
    data: Bytes,
}

#[derive(Debug, Serialize)]
struct Typing {
    name: String,
    typing: bool,
}

/// An answer, or why there is none.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Reply<T> {
    Done(T),
    Refused { error: &'static str },
}

type Answer = Result<Data<Reply<Receipt>>, Error>;

fn refuse(error: &'static str) -> Answer {
    Ok(Data(Reply::Refused { error }))
}

// --- Handlers ----------------------------------------------------------------------------------------------

/// Each handler keeps it locked until it has told everybody: all hear of things in the order they happened.
type Shared = Arc<Mutex<Chat>>;

fn lock(chat: &Shared) -> MutexGuard<'_, Chat> {
    chat.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Puts a returning client into its room before its first event, which may be a message written offline.
async fn resume(socket: Socket, State(chat): State<Shared>, Auth(hello): Auth<Hello>) -> Result<(), Error> {
    if let Some(Ok(seat)) = hello.seat.map(Seat::checked) {
        enter(&socket, &mut lock(&chat), seat)?;
    }
    Ok(())
}

/// Moves a client into a room, and answers with what is there: through `Ack`, while the chat is locked, so
/// that the client hears of it before anything that happens next.
async fn join(
    socket: Socket,
    State(chat): State<Shared>,
    Data(seat): Data<Seat>,
    ack: Ack,
) -> Result<(), Error> {
    let seat = match seat.checked() {
        Ok(seat) => seat,
        Err(error) => return Ok(ack.send(&Reply::<Joined>::Refused { error })?),
    };
    let mut chat = lock(&chat);
    enter(&socket, &mut chat, seat.clone())?;
    let members = chat.members(&seat.room);
    let history = chat.history(&seat.room);
    Ok(ack.send(&Reply::Done(Joined { seat, members, history }))?)
}

/// Relays a text, and remembers it for those who come later.
async fn message(socket: Socket, State(chat): State<Shared>, Data(text): Data<String>) -> Answer {
    let mut chat = lock(&chat);
    let Some(seat) = chat.seat(socket.id()).cloned() else { return refuse("join a room first") };
    if text.trim().is_empty() || text.chars().count() > MAX_TEXT {
        return refuse("a message has 1 to 2000 characters");
    }
    let receipt = chat.receipt();
    let post = Post { receipt, author: seat.name.clone(), content: Text { text } };
    socket.to(seat.channel()).emit("message", &post)?;
    chat.remember(&seat.room, post);
    Ok(Data(Reply::Done(receipt)))
}

/// Relays an image. Nobody remembers it.
async fn image(socket: Socket, State(chat): State<Shared>, Data(image): Data<Image>) -> Answer {
    let mut chat = lock(&chat);
    let Some(seat) = chat.seat(socket.id()).cloned() else { return refuse("join a room first") };
    if image.data.len() > MAX_IMAGE {
        return refuse("an image has at most 512 KiB");
    }
    if !IMAGE_TYPES.contains(&image.r#type.as_str()) {
        return refuse("an image is a PNG, JPEG, GIF, WebP or AVIF");
    }
    if image.name.chars().count() > MAX_FILE_NAME {
        return refuse("a file name has at most 255 characters");
    }
    let receipt = chat.receipt();
    socket.to(seat.channel()).emit("image", &Post { receipt, author: seat.name, content: image })?;
    Ok(Data(Reply::Done(receipt)))
}

async fn typing(socket: Socket, State(chat): State<Shared>, Data(typing): Data<bool>) -> Result<(), Error> {
    if let Some(seat) = lock(&chat).seat(socket.id()) {
        socket.to(seat.channel()).emit("typing", &Typing { name: seat.name.clone(), typing })?;
    }
    Ok(())
}

async fn leave(socket: Socket, State(chat): State<Shared>) -> Result<(), Error> {
    let mut chat = lock(&chat);
    match chat.stand_up(socket.id()) {
        Some(seat) => tell(&socket, &chat, "left", &seat),
        None => Ok(()),
    }
}

/// Takes a socket to its seat, out of its former room. If it sits there already, nothing happens.
fn enter(socket: &Socket, chat: &mut Chat, seat: Seat) -> Result<(), Error> {
    let former = chat.sit(socket.id(), seat.clone());
    if former.as_ref() == Some(&seat) {
        return Ok(());
    }
    if let Some(former) = former {
        socket.leave(former.channel());
        tell(socket, chat, "left", &former)?;
    }
    socket.join(seat.channel());
    tell(socket, chat, "joined", &seat)
}

/// Tells the others of a room who came or went.
fn tell(socket: &Socket, chat: &Chat, event: &str, seat: &Seat) -> Result<(), Error> {
    let presence = Presence { name: seat.name.clone(), members: chat.members(&seat.room) };
    socket.to(seat.channel()).emit(event, &presence)?;
    Ok(())
}
