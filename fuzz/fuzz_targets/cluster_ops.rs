#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sio_proto::fuzzing::cluster_ops(bytes));
