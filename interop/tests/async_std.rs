//! Everything, on async-std.

interop::on!(AsyncStd);
