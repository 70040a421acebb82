//! Replays the corpus of the fuzz targets.

use std::fs;
use std::path::Path;

use sio_proto::fuzzing;

fn replay(target: &str, body: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    // A published crate comes without its neighbours.
    let Ok(files) = fs::read_dir(&folder) else { return };
    let mut count = 0;
    for file in files {
        let path = file.expect("a readable folder").path();
        println!("{}", path.display());
        body(&fs::read(&path).expect("a readable file"));
        count += 1;
    }
    assert!(count > 5, "{} is nearly empty", folder.display());
}

#[test]
fn engine_packet() {
    replay("engine_packet", fuzzing::engine_packet);
}

#[test]
fn polling_payload() {
    replay("polling_payload", fuzzing::polling_payload);
}

#[test]
fn eio3_payload() {
    replay("eio3_payload", fuzzing::eio3_payload);
}

#[test]
fn socket_packet() {
    replay("socket_packet", fuzzing::socket_packet);
}

#[test]
fn msgpack_packet() {
    replay("msgpack_packet", fuzzing::msgpack_packet);
}

#[test]
fn payload_data() {
    replay("payload_data", fuzzing::payload_data);
}

#[test]
fn server_ops() {
    replay("server_ops", fuzzing::server_ops);
}

#[test]
fn cluster_ops() {
    replay("cluster_ops", fuzzing::cluster_ops);
}

#[test]
fn client_ops() {
    replay("client_ops", fuzzing::client_ops);
}
