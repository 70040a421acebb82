//! Several servers that serve the same clients: [`Adapter`], and what stands behind it.

mod bus;
mod deliver;
mod error;
mod link;
mod member;
mod remote;
mod remote_ack;
mod server_side;

use sio_proto::cluster::Config;

use crate::runtime::BoxFuture;

pub use bus::{Bus, BusNode};
pub use error::{Partial, RequestError};
pub use link::Link;
pub(crate) use member::{Member, Requested};
pub(crate) use remote::Share;
pub use remote::{RemoteHandshake, RemoteSocket};
pub use remote_ack::RemoteEmitWithAck;
pub use server_side::{ServerSide, ServerSideEmitWithAck};

/// Carries messages between the servers of a cluster: given to [`ServerBuilder::adapter`](crate::ServerBuilder::adapter).
///
/// It knows a backend, and how messages look there, and nothing else: what they mean, who is there, who answers and how long that may
/// take is up to the [`Link`]. Without an adapter there is one server, and all of this costs nothing.
///
/// ```
/// use sio_driver::cluster::{Adapter, Link, Message, Transmit};
/// use sio_driver::BoxFuture;
///
/// # struct Backend;
/// # impl Backend {
/// #     fn subscribe(&self, _: &str, _: impl Fn(Message) + Send + 'static) {}
/// #     async fn publish(&self, _: Message) {}
/// #     async fn count(&self, _: &str) -> Option<usize> { None }
/// # }
/// # #[derive(Clone)]
/// struct Mine(std::sync::Arc<Backend>);
///
/// impl Adapter for Mine {
///     fn join(&self, link: Link) -> BoxFuture<()> {
///         let backend = self.0.clone();
///         Box::pin(async move {
///             let incoming = link.clone();
///             backend.subscribe(link.namespace(), move |message| drop(incoming.receive(message)));
///             link.ready(); // from here on nothing is missed
///             while let Some(transmit) = link.next().await {
///                 match transmit {
///                     Transmit::Send { message, .. } => backend.publish(message).await,
///                     Transmit::Count(request) => link.counted(&request, backend.count(link.namespace()).await),
///                     _ => {}
///                 }
///             }
///         })
///     }
/// }
/// ```
pub trait Adapter: Send + Sync + 'static {
    /// How nodes know of each other, and limits. Default: heartbeats, with the times of the JavaScript adapters. A backend that knows how
    /// many servers there are says [`Counted`](sio_proto::cluster::Liveness::Counted).
    fn config(&self) -> Config {
        Config::default()
    }

    /// Lets one namespace of one server take part. The future runs as a task, and should end when [`Link::next`] has nothing more to
    /// give: the namespace, or the server, is gone.
    ///
    /// It must not wait for anything before it subscribes, and must call [`Link::ready`] when it has.
    ///
    /// Handlers' first steps, listeners and watchers run inside [`Link::receive`]: it must not be called from within the publishing of a
    /// message on the same thread.
    fn join(&self, link: Link) -> BoxFuture<()>;
}
