//! Everything, on tokio.

interop::on!(Tokio);
