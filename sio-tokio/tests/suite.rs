//! The suite of all adapters, on tokio.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use sio_tokio::{Accepted, Client, ClientBuilder, ConnectionError, Server, ServerBuilder};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

struct Tokio;

impl suite::Adapter for Tokio {
    const NAME: &'static str = "sio-tokio";
    type Runtime = sio_tokio::Tokio;
    type Server = Server;
    type Client = Client;

    fn block_on(test: impl Future<Output = ()>) {
        tokio::runtime::Runtime::new().expect("a runtime").block_on(test);
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
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    io.serve_connection(stream, Accepted::from(address).secure(true)).await;
                }
            });
        }
    }
}

fn tokio_runs() {
    suite::run::<Tokio>(suite::cases::inside_handlers::<Tokio>(|| {
        assert!(tokio::runtime::Handle::try_current().is_ok());
    }));
}

fn main() {
    suite::main::<Tokio>(&[("tokio_runs", tokio_runs)]);
}
