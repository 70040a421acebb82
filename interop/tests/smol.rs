//! Everything, on smol.

interop::on!(Smol);
