//! Requests and their answers.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, Method, Response, StatusCode, header};
use hyper::body::Incoming;

use super::connection::{HttpConnection, HttpRequest};
use super::dial::Connector;
use super::error::NetError;
use crate::runtime::Runtime;

/// A client has a GET and a POST at a time.
const MAX_IDLE: usize = 2;
/// What is read of the body of an answer that is not 200; the rest is not of interest.
const MAX_REFUSAL: usize = 16 << 10;

/// An answer, of whatever status.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Where a redirect leads to; it is not followed.
    pub(crate) location: Option<String>,
    /// Of an answer that is not 200, at most the first 16 KiB.
    pub(crate) body: Bytes,
}

/// Sends requests to one server, over connections that are kept for the next one. Cloning gives another handle.
pub(crate) struct HttpClient<R> {
    connector: Connector<R>,
    idle: Arc<Mutex<Vec<HttpConnection>>>,
}

impl<R> Clone for HttpClient<R> {
    fn clone(&self) -> Self {
        Self { connector: self.connector.clone(), idle: self.idle.clone() }
    }
}

impl<R: Runtime> HttpClient<R> {
    pub(crate) fn new(connector: Connector<R>) -> Self {
        Self { connector, idle: Arc::default() }
    }

    /// Sends a request and waits for the whole answer. `headers` are added to those that every request has.
    ///
    /// Requests may be made side by side; each has a connection of its own. A request is sent again only if its kept connection turned
    /// out to be closed before any of it was sent. Dropping the future closes the connection.
    pub(crate) fn request(
        &self,
        method: Method,
        path_and_query: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> impl Future<Output = Result<Answer, NetError>> + Send + use<R> {
        let client = self.clone();
        let request = self.connector.request(method, path_and_query, headers, body);
        async move {
            let mut request = request?;
            while let Some(mut connection) = client.take() {
                if !connection.is_usable().await {
                    continue;
                }
                match connection.send(request).await {
                    Ok(response) => return client.answer(connection, response).await,
                    Err(mut error) => match error.take_message() {
                        Some(unsent) => request = unsent,
                        None => return Err(client.connector.failure(&error.into_error())),
                    },
                }
                break;
            }
            client.on_new_connection(request).await
        }
    }

    async fn on_new_connection(&self, request: HttpRequest) -> Result<Answer, NetError> {
        let stream = self.connector.dial().await?;
        let mut connection =
            HttpConnection::new(stream).await.map_err(|error| self.connector.failure(&error))?;
        match connection.send(request).await {
            Ok(response) => self.answer(connection, response).await,
            Err(error) => Err(self.connector.failure(&error.into_error())),
        }
    }

    async fn answer(
        &self,
        mut connection: HttpConnection,
        response: Response<Incoming>,
    ) -> Result<Answer, NetError> {
        let limit = self.connector.max_message_size();
        let answer = read(&mut connection, response, &self.connector, limit).await?;
        if connection.is_usable().await {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            if idle.len() < MAX_IDLE {
                idle.push(connection);
            }
        }
        Ok(answer)
    }

    /// Closes the connections that are kept.
    pub(crate) fn close_idle(&self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    #[cfg(test)]
    pub(super) fn idle_connections(&self) -> usize {
        self.idle.lock().unwrap().len()
    }

    fn take(&self) -> Option<HttpConnection> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }
}

/// The whole of an answer whose head is there.
pub(crate) async fn read<R: Runtime>(
    connection: &mut HttpConnection,
    response: Response<Incoming>,
    connector: &Connector<R>,
    limit: usize,
) -> Result<Answer, NetError> {
    let (head, body) = response.into_parts();
    connector.remember_cookies(&head.headers);
    let is_ok = head.status == StatusCode::OK;
    let body = match connection.body(body, if is_ok { limit } else { MAX_REFUSAL }).await {
        Ok(collected) if collected.cut && is_ok => return Err(NetError::TooLarge { limit }),
        Ok(collected) => collected.bytes,
        // The status says more than a failure while reading the rest.
        Err(_) if !is_ok => Bytes::new(),
        Err(error) => return Err(connector.failure(&error)),
    };
    let location = head.headers.get(header::LOCATION);
    let location = location.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    Ok(Answer { status: head.status.as_u16(), location, body })
}
