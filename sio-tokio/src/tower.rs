//! The server as a tower `Service` and `Layer`, for axum, hyper and everything else that speaks tower.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Request, Response, StatusCode};
use http_body::Body as HttpBody;
use http_body_util::Either;
use sio_driver::Body;

use crate::Server;

type Answer = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

impl Server {
    /// A tower layer: `axum::Router::new().layer(io.layer())`.
    ///
    /// The client's address, [`Handshake::remote_addr`](crate::Handshake::remote_addr), is taken from the request's extensions if a
    /// `SocketAddr` is there. axum puts its `ConnectInfo` there, if it is asked to; a layer around this one unwraps it:
    ///
    /// ```no_run
    /// # async fn run(io: sio_tokio::Server, listener: tokio::net::TcpListener) -> std::io::Result<()> {
    /// # use std::net::SocketAddr;
    /// # use axum::{Router, extract::{ConnectInfo, Request}, middleware::map_request};
    /// let app = Router::new().layer(io.layer()).layer(map_request(
    ///     async |ConnectInfo(address): ConnectInfo<SocketAddr>, mut request: Request| {
    ///         request.extensions_mut().insert(address);
    ///         request
    ///     },
    /// ));
    /// axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await
    /// # }
    /// ```
    #[must_use]
    pub fn layer(&self) -> SioLayer {
        SioLayer(self.clone())
    }

    /// A tower service of this server alone; other paths get 404.
    #[must_use]
    pub fn service(&self) -> SioService {
        SioService { server: self.clone(), inner: NotFound }
    }
}

/// Puts a server in front of another service: requests under the server's path are its own, all others go on.
#[derive(Clone, Debug)]
pub struct SioLayer(pub(crate) Server);

impl<S> tower_layer::Layer<S> for SioLayer {
    type Service = SioService<S>;

    fn layer(&self, inner: S) -> SioService<S> {
        SioService { server: self.0.clone(), inner }
    }
}

/// A service that answers the server's requests, and leaves the others to `S`. See [`Server::layer`] and [`Server::service`].
///
/// WebSockets need an HTTP server that hands connections over: with bare hyper, `serve_connection(..).with_upgrades()`.
#[derive(Clone, Debug)]
pub struct SioService<S = NotFound> {
    pub(crate) server: Server,
    pub(crate) inner: S,
}

impl<S> SioService<S> {
    fn answer<B>(&self, request: Request<B>) -> Answer
    where
        B: HttpBody + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        let server = self.server.clone();
        Box::pin(async move {
            let remote_addr = request.extensions().get::<SocketAddr>().copied();
            server.handle(request, remote_addr).await
        })
    }
}

impl<S, B, R> tower_service::Service<Request<B>> for SioService<S>
where
    S: tower_service::Service<Request<B>, Response = Response<R>>,
    B: HttpBody + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    type Response = Response<Either<Body, R>>;
    type Error = S::Error;
    type Future = SioFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        SioFuture(if self.server.matches_path(request.uri().path()) {
            Either::Left(self.answer(request))
        } else {
            Either::Right(Box::pin(self.inner.call(request)))
        })
    }
}

/// The answer of a [`SioService`].
pub struct SioFuture<F>(Either<Answer, Pin<Box<F>>>);

impl<F> std::fmt::Debug for SioFuture<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SioFuture")
    }
}

impl<F, R, E> Future for SioFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = Result<Response<Either<Body, R>>, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(match &mut self.0 {
            Either::Left(ours) => Ok(ready!(ours.as_mut().poll(cx)).map(Either::Left)),
            Either::Right(theirs) => ready!(theirs.as_mut().poll(cx)).map(|answer| answer.map(Either::Right)),
        })
    }
}

/// What is behind [`Server::service`]: 404 for every other path.
#[derive(Clone, Copy, Debug, Default)]
pub struct NotFound;

impl<B> tower_service::Service<Request<B>> for NotFound {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        let mut response = Response::new(Body::default());
        *response.status_mut() = StatusCode::NOT_FOUND;
        std::future::ready(Ok(response))
    }
}
