//! Canary secrets reach no sink: neither output, nor traces, nor any file but the one that the user stores them in.

use std::io::{Read, Write};
use std::net::TcpListener;

use crate::program::Program;

const CANARIES: [&str; 4] =
    ["canary-do-key-7f3a", "CANARYAWSACCESS", "canary-aws-secret-91bc", "canary-session-token-55de"];

/// A server on loopback that answers so many requests with an error that repeats what it was sent.
fn echoing(requests: usize) -> (u16, std::thread::JoinHandle<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    listener.set_nonblocking(true).unwrap();
    let thread = std::thread::spawn(move || {
        let (mut served, mut idle) = (0, 0);
        // Bounded: by count, and by about ten seconds without a request.
        while served < requests && idle < 1000 {
            match listener.accept() {
                Ok((mut stream, _)) => {
                    idle = 0;
                    stream.set_nonblocking(false).unwrap();
                    let mut sent = [0u8; 8192];
                    let read = stream.read(&mut sent).unwrap_or(0);
                    let seen = String::from_utf8_lossy(&sent[..read]).into_owned();
                    served += usize::from(CANARIES.iter().any(|canary| seen.contains(canary)));
                    let body = serde_json::json!({ "id": "unauthorized", "message": "Unable to authenticate you" })
                        .to_string();
                    let _ = write!(
                        stream,
                        "HTTP/1.1 401 Unauthorized\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                        body.len()
                    );
                }
                Err(_) => {
                    idle += 1;
                    std::thread::park_timeout(std::time::Duration::from_millis(10));
                }
            }
        }
        served
    });
    (port, thread)
}

#[test]
fn canaries_reach_no_sink() {
    let program = Program::new();
    let (port, server) = echoing(3);
    let endpoint = format!("http://127.0.0.1:{port}/v2");
    let env = [
        ("DIGITALOCEAN_TOKEN", CANARIES[0]),
        ("AWS_ACCESS_KEY_ID", CANARIES[1]),
        ("AWS_SECRET_ACCESS_KEY", CANARIES[2]),
        ("AWS_SESSION_TOKEN", CANARIES[3]),
        ("AWS_REGION", "us-east-1"),
        ("CAPSULE_DIGITALOCEAN_ENDPOINT", endpoint.as_str()),
        ("CAPSULE_AWS_ENDPOINT", endpoint.as_str()),
        ("CAPSULE_AWS_REGIONS", "us-east-1"),
    ];
    let mut said = String::new();
    for args in [
        &["-vv", "-o", "json", "list"][..],
        &["-vv", "list"],
        &["-vv", "providers"],
        &["-vv", "-o", "json", "providers"],
        &["-vv", "provider", "check"],
        &["-vv", "doctor"],
        &["-vv", "deploy", "web", "--min-cpu", "1"],
        &["-vv", "-o", "json", "ops"],
    ] {
        let run = program.run_with(&env, args);
        said.push_str(&run.stdout);
        said.push_str(&run.stderr);
    }
    assert!(server.join().unwrap() >= 3, "the secrets were never used, so the test shows nothing");
    assert!(said.contains("digitalocean"), "the traces were read");
    for canary in CANARIES {
        // An access key's id is no secret and yet nobody needs it in an output.
        assert!(!said.contains(canary), "{canary} was printed: {said}");
        for file in program.files() {
            let bytes = std::fs::read(&file).unwrap();
            let found = bytes.windows(canary.len()).any(|window| window == canary.as_bytes());
            assert!(!found, "{canary} is in {}", file.display());
        }
    }
}

#[test]
fn a_stored_key_lies_in_one_private_file_alone() {
    let program = Program::new();
    let run = program
        .run_reading(&format!("{}\n", CANARIES[0]), &[], &["provider", "login", "digitalocean", "--no-check"])
        .exits(0);
    assert!(!format!("{run:?}").contains(CANARIES[0]));
    let holding: Vec<_> = program
        .files()
        .into_iter()
        .filter(|file| String::from_utf8_lossy(&std::fs::read(file).unwrap()).contains(CANARIES[0]))
        .collect();
    assert_eq!(holding, [program.home().join("providers.yml")]);
    assert!(!program.run(&["-vv", "-o", "json", "providers"]).exits(0).stdout.contains(CANARIES[0]));
}
