//! What an application keeps with a socket: [`Socket::data`].

use std::any::{Any, type_name};
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::Rejection;
use crate::handlers::{Context, FromContext, destroy};
use crate::server::Socket;

/// The values of a socket, one of each type. Most have none, one or two.
#[derive(Default)]
pub(crate) struct DataCell(Mutex<Vec<Value>>);

type Value = Arc<dyn Any + Send + Sync>;

impl DataCell {
    fn lock(&self) -> MutexGuard<'_, Vec<Value>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for DataCell {
    /// Wherever the last handle of a socket goes, others have work to do.
    fn drop(&mut self) {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner).drain(..).for_each(destroy);
    }
}

/// Where the value of this type is.
fn find<T: 'static>(values: &[Value]) -> Option<usize> {
    values.iter().position(|value| (**value).is::<T>())
}

impl Socket {
    /// The value of this type that [`set_data`](Self::set_data) put here, if there is one. `data` in JavaScript.
    #[must_use]
    pub fn data<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        let values = self.0.data.get()?.lock();
        values[find::<T>(&values)?].clone().downcast().ok()
    }

    /// Keeps a value with this socket, in place of the one of the same type, if there was one: a user, a session, whatever handlers need. It
    /// stays until the last handle of the socket is dropped, and is there in disconnect handlers. A socket that is
    /// [recovered](Self::recovered) has what the one before it had.
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
        let data: Value = Arc::new(data);
        let mut values = self.0.data.get_or_init(Arc::default).lock();
        let old = match find::<T>(&values) {
            Some(at) => Some(std::mem::replace(&mut values[at], data)),
            None => {
                values.reserve_exact(1);
                values.push(data);
                None
            }
        };
        drop(values);
        // What it does when it is dropped may use the socket.
        drop(old);
    }

    /// Takes the value of this type away, and gives it.
    pub fn remove_data<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        let mut values = self.0.data.get()?.lock();
        let at = find::<T>(&values)?;
        let removed = values.swap_remove(at);
        drop(values);
        removed.downcast().ok()
    }

    /// Changes the value of this type, if there is one; handlers that hold the old one keep it. `change` must not use this socket's
    /// data. Says what `change` returned.
    pub fn update_data<T, R>(&self, change: impl FnOnce(&mut T) -> R) -> Option<R>
    where
        T: Clone + Send + Sync + 'static,
    {
        let mut values = self.0.data.get()?.lock();
        let at = find::<T>(&values)?;
        // The value stays in its place while it is changed, for `change` may panic.
        let mut value: Arc<T> = values[at].clone().downcast().ok()?;
        let changed = change(Arc::make_mut(&mut value));
        let old = std::mem::replace(&mut values[at], value);
        drop(values);
        drop(old);
        Some(changed)
    }
}

/// The value of this type that [`Socket::set_data`] put with the socket, as a parameter of handlers and middlewares. If there is none,
/// the handler is not called, which is reported.
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
