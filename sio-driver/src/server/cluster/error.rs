//! Requests to other servers that were not answered in full.

use std::fmt;

use sio_proto::cluster::Missing;

use crate::error::EmitError;

/// What came, when not all servers have answered.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Partial<T> {
    /// The answers that there are.
    pub got: Vec<T>,
    /// Who did not answer in time.
    pub missing: Missing,
    /// How many servers said that they have no answer: no handler for the event, or one that failed or gave nothing.
    pub unanswered: usize,
    /// How many answers did not parse as what was asked for.
    pub malformed: usize,
}

impl<T> fmt::Display for Partial<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Missing { count, nodes } = &self.missing;
        write!(f, "{} answers, {count} servers did not answer in time", self.got.len())?;
        if !nodes.is_empty() {
            write!(f, " ({nodes:?})")?;
        }
        if self.unanswered > 0 {
            write!(f, ", {} servers have no answer", self.unanswered)?;
        }
        if self.malformed > 0 {
            write!(f, ", {} answers of another type", self.malformed)?;
        }
        Ok(())
    }
}

impl<T: fmt::Debug> std::error::Error for Partial<T> {}

/// Why a request to other servers was not answered in full.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError<T: fmt::Debug + 'static> {
    /// It was not sent.
    #[error(transparent)]
    Emit(#[from] EmitError),
    /// Some have answered.
    #[error(transparent)]
    Partial(Partial<T>),
}

impl<T: fmt::Debug> RequestError<T> {
    /// The answers that there are.
    pub fn into_partial(self) -> Vec<T> {
        match self {
            Self::Emit(_) => Vec::new(),
            Self::Partial(partial) => partial.got,
        }
    }
}
