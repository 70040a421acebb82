//! The suite of all adapters, on smol.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use futures_rustls::TlsAcceptor;
use futures_rustls::rustls::ServerConfig;
use sio_smol::{Accepted, Client, ClientBuilder, ConnectionError, Server, ServerBuilder};
use smol::net::TcpListener;

struct Smol;

impl suite::Adapter for Smol {
    const NAME: &'static str = "sio-smol";
    type Runtime = sio_smol::Smol;
    type Server = Server;
    type Client = Client;

    fn block_on(test: impl Future<Output = ()>) {
        smol::block_on(test);
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
            smol::spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    io.serve_connection(stream, Accepted::from(address).secure(true)).await;
                }
            })
            .detach();
        }
    }
}

fn no_tokio_runs() {
    suite::run::<Smol>(suite::cases::inside_handlers::<Smol>(|| {
        assert!(tokio::runtime::Handle::try_current().is_err());
    }));
}

fn main() {
    suite::main::<Smol>(&[("no_tokio_runs", no_tokio_runs)]);
}
