//! What an application keeps with a socket: [`Socket::data`].

use std::any::{Any, type_name};
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::Rejection;
use crate::handlers::{Context, FromContext};
use crate::server::Socket;

/// The one value of a socket.
#[derive(Default)]
pub(crate) struct DataCell(Mutex<Option<Value>>);

type Value = Arc<dyn Any + Send + Sync>;

impl DataCell {
    fn lock(&self) -> MutexGuard<'_, Option<Value>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get(&self) -> Option<Value> {
        self.lock().clone()
    }

    /// Gives the old value, to be dropped without the lock.
    pub(crate) fn set(&self, data: Option<Value>) -> Option<Value> {
        std::mem::replace(&mut *self.lock(), data)
    }
}

impl Socket {
    /// The value that [`set_data`](Self::set_data) put here, if there is one and it is a `T`. `data` in JavaScript.
    #[must_use]
    pub fn data<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        self.0.data.get()?.get()?.downcast().ok()
    }

    /// Keeps a value with this socket, in place of the one before, also if that was of another type: a user, a session, whatever handlers need. It stays until the last
    /// handle of the socket is dropped, and is there in disconnect handlers. A socket that is [recovered](Self::recovered) has what the
    /// one before it had.
    ///
    /// ```
    /// # use sio_driver::{Auth, ConnectError, Server, Socket, SocketData};
    /// #[derive(Clone, serde::Deserialize)]
    /// struct User { name: String }
    ///
    /// # fn setup(io: Server) {
    /// io.of("/")
    ///     .use_(async |socket: Socket, Auth(user): Auth<User>| {
    ///         socket.set_data(user);
    ///         Ok(())
    ///     })
    ///     .on("whoami", async |user: SocketData<User>| user.name.clone());
    /// # }
    /// ```
    pub fn set_data<T: Send + Sync + 'static>(&self, data: T) {
        let old = self.0.data.get_or_init(Arc::default).set(Some(Arc::new(data)));
        // What it does when it is dropped may use the socket.
        drop(old);
    }

    /// Changes the value, if there is one and it is a `T`; handlers that hold the old one keep it. `change` must not use this socket's
    /// data. Says what `change` returned.
    pub fn update_data<T, R>(&self, change: impl FnOnce(&mut T) -> R) -> Option<R>
    where
        T: Clone + Send + Sync + 'static,
    {
        let mut data = self.0.data.get()?.lock();
        // The value stays in its place while it is changed, for `change` may panic.
        let mut value: Arc<T> = data.clone()?.downcast().ok()?;
        let changed = change(Arc::make_mut(&mut value));
        let old = data.replace(value);
        drop(data);
        drop(old);
        Some(changed)
    }
}

/// The value that [`Socket::set_data`] put with the socket, as a parameter of handlers and middlewares. If there is none, or one of
/// another type, the handler is not called, which is reported.
pub struct SocketData<T>(pub Arc<T>);

impl<T: Send + Sync + 'static> FromContext for SocketData<T> {
    fn from_context(context: &mut Context) -> Result<Self, Rejection> {
        context.socket.data().map(Self).ok_or_else(|| Rejection::SocketData(type_name::<T>()))
    }
}

impl<T> Deref for SocketData<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> Clone for SocketData<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: fmt::Debug> fmt::Debug for SocketData<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SocketData").field(&self.0).finish()
    }
}
