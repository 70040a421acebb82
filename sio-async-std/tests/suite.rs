//! The suite of all adapters, on async-std.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use async_std::net::TcpListener;
use futures_rustls::TlsAcceptor;
use futures_rustls::rustls::ServerConfig;
use sio_async_std::{Accepted, Client, ClientBuilder, ConnectionError, Server, ServerBuilder};

struct AsyncStd;

impl suite::Adapter for AsyncStd {
    const NAME: &'static str = "sio-async-std";
    type Runtime = sio_async_std::AsyncStd;
    type Server = Server;
    type Client = Client;

    fn block_on(test: impl Future<Output = ()>) {
        async_std::task::block_on(test);
    }

    fn server() -> ServerBuilder<Server> {
        Server::builder()
    }

    fn client(url: &str) -> ClientBuilder<Client> {
        Client::builder(url)
    }

    async fn connect(url: &str) -> Result<Client, ConnectionError> {
        Client::connect(url).await
    }

    async fn bind(address: &str) -> io::Result<(TcpListener, SocketAddr)> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    }

    async fn listen(io: Server, address: SocketAddr) -> io::Result<()> {
        io.listen(address).await
    }

    async fn serve(io: Server, listener: TcpListener) -> io::Result<()> {
        io.serve(listener).await
    }

    async fn serve_tls(io: Server, listener: TcpListener, config: Arc<ServerConfig>) {
        let acceptor = TlsAcceptor::from(config);
        while let Ok((stream, address)) = listener.accept().await {
            let (io, acceptor) = (io.clone(), acceptor.clone());
            async_std::task::spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    io.serve_connection(stream, Accepted::from(address).secure(true)).await;
                }
            });
        }
    }
}

fn no_tokio_runs() {
    suite::run::<AsyncStd>(suite::cases::inside_handlers::<AsyncStd>(|| {
        assert!(tokio::runtime::Handle::try_current().is_err());
    }));
}

fn main() {
    suite::main::<AsyncStd>(&[("no_tokio_runs", no_tokio_runs)]);
}
