//! The three runtimes behind one type, so that everything else here is written, and compiled, once.
//!
//! A test program is about one of them: it says which ([`Adapter::run_here`]), and our servers and clients run on that one. The tests
//! themselves, and what they measure with, run on tokio; handles work everywhere.

use core::{future::Future, net::SocketAddr, pin::pin, time::Duration};
use std::{
    future::poll_fn,
    io,
    net::TcpListener,
    sync::{LazyLock, OnceLock},
};

use hyper::rt::{Read, Write};
use sio_async_std::AsyncStd;
use sio_driver::{Client, ClientBuilder, Runtime, Server, ServerBuilder, Timer as _};
use sio_smol::Smol;
use sio_tokio::Tokio;

/// One of our crates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adapter {
    /// `sio-tokio`.
    Tokio,
    /// `sio-smol`.
    Smol,
    /// `sio-async-std`.
    AsyncStd,
}

static HERE: OnceLock<Adapter> = OnceLock::new();

/// The tokio runtime of our servers, which outlives that of a test.
static TOKIO: LazyLock<tokio::runtime::Runtime> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime")
});

/// A connection of whatever runtime.
pub trait Stream: Read + Write + Unpin + Send {}

impl<S: Read + Write + Unpin + Send> Stream for S {}

impl Adapter {
    /// Says which one this program is about.
    ///
    /// # Panics
    /// If it is about another one already.
    pub fn run_here(self) {
        assert_eq!(*HERE.get_or_init(|| self), self, "a program is about one runtime");
    }

    /// The one that this program is about; tokio if nobody has said.
    #[must_use]
    pub fn here() -> Self {
        *HERE.get_or_init(|| Self::Tokio)
    }

    /// Settings of a server.
    #[must_use]
    pub fn server(self) -> ServerBuilder<Server> {
        match self {
            Self::Tokio => ServerBuilder::new(Tokio::default()),
            Self::Smol => ServerBuilder::new(Smol::default()),
            Self::AsyncStd => ServerBuilder::new(AsyncStd::default()),
        }
    }

    /// Settings of a client.
    #[must_use]
    pub fn client(self, url: impl Into<String>) -> ClientBuilder<Client> {
        match self {
            Self::Tokio => ClientBuilder::new(Tokio::default(), url),
            Self::Smol => ClientBuilder::new(Smol::default(), url),
            Self::AsyncStd => ClientBuilder::new(AsyncStd::default(), url),
        }
    }

    /// Runs a task to its end.
    pub fn spawn(self, task: impl Future<Output = ()> + Send + 'static) {
        match self {
            Self::Tokio => drop(TOKIO.spawn(task)),
            Self::Smol => Smol::default().spawn(task),
            Self::AsyncStd => AsyncStd::default().spawn(task),
        }
    }

    /// Waits; for handlers, which may not be on tokio.
    pub async fn sleep(self, time: Duration) {
        match self {
            Self::Tokio => sleep(Tokio::default(), time).await,
            Self::Smol => sleep(Smol::default(), time).await,
            Self::AsyncStd => sleep(AsyncStd::default(), time).await,
        }
    }

    /// `Server::serve`. To be called by a task of this runtime.
    ///
    /// # Errors
    /// As there.
    pub async fn serve(self, io: Server, listener: TcpListener) -> io::Result<()> {
        listener.set_nonblocking(true)?;
        match self {
            Self::Tokio => sio_tokio::Server::from(io).serve(listener.try_into()?).await,
            Self::Smol => sio_smol::Server::from(io).serve(listener.try_into()?).await,
            Self::AsyncStd => sio_async_std::Server::from(io).serve(listener.into()).await,
        }
    }

    /// Accepts connections until it is dropped. To be called by a task of this runtime.
    ///
    /// # Errors
    /// If the listener is not one.
    pub async fn accept(
        self,
        listener: TcpListener,
        each: impl FnMut(Box<dyn Stream>, SocketAddr),
    ) -> io::Result<()> {
        listener.set_nonblocking(true)?;
        match self {
            Self::Tokio => accept(Tokio::default(), listener.try_into()?, each).await,
            Self::Smol => accept(Smol::default(), listener.try_into()?, each).await,
            Self::AsyncStd => accept(AsyncStd::default(), listener.into(), each).await,
        }
    }
}

/// Waits for a future, on a thread without a runtime.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    TOKIO.block_on(future)
}

async fn sleep(runtime: impl Runtime, time: Duration) {
    let mut timer = runtime.timer();
    timer.reset(runtime.now() + time);
    poll_fn(|cx| timer.poll(cx)).await;
}

async fn accept<R: Runtime>(
    runtime: R,
    listener: R::Listener,
    mut each: impl FnMut(Box<dyn Stream>, SocketAddr),
) -> io::Result<()> {
    loop {
        let accepted = pin!(runtime.accept(&listener)).await;
        if let Ok((stream, remote)) = accepted {
            each(Box::new(stream), remote);
        }
    }
}
