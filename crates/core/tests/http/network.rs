//! The real transport, on this machine's loopback: it tells truly what was sent, and follows nothing.

use bytes::Bytes;
use capsule_core::http::{HttpTransport, Sent, Transport};
use futures_util::TryStreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Takes one connection, reads one request, writes `answer`, and gives the request back.
async fn one_answer(answer: &'static str) -> (String, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let (mut connection, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let byte = connection.read_u8().await.unwrap();
            request.push(byte);
        }
        connection.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8(request).unwrap()
    });
    (base, server)
}

fn get(url: &str) -> http::Request<Bytes> {
    http::Request::get(url).body(Bytes::new()).unwrap()
}

#[tokio::test]
async fn a_refused_connection_was_not_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = format!("http://{}/?token=s3cret", listener.local_addr().unwrap());
    drop(listener);
    let error = HttpTransport::new().send(get(&closed)).await.err().expect("nobody listens there");
    assert_eq!(error.sent, Sent::No);
    assert!(!error.message.contains("s3cret"), "{}", error.message);
}

#[tokio::test]
async fn a_connection_that_breaks_before_the_answer_may_have_been_sent() {
    let (base, server) = one_answer("").await;
    let error = HttpTransport::new().send(get(&format!("{base}/?token=s3cret"))).await.err().expect("no answer came");
    assert_eq!(error.sent, Sent::Maybe);
    assert!(!error.message.contains("s3cret"), "{}", error.message);
    server.await.unwrap();
}

#[tokio::test]
async fn a_body_that_breaks_off_is_no_whole_body() {
    let (base, server) = one_answer("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"id\":").await;
    let reply = HttpTransport::new().send(get(&base)).await.unwrap();
    assert_eq!(reply.status(), 200);
    let error = reply.into_body().try_collect::<Vec<_>>().await.unwrap_err();
    assert_eq!(error.sent, Sent::Maybe);
    server.await.unwrap();
}

#[tokio::test]
async fn a_redirect_comes_back_as_it_is() {
    let (base, server) =
        one_answer("HTTP/1.1 307 Moved\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n").await;
    let reply = HttpTransport::new().send(get(&format!("{base}/v2/things?a=1"))).await.unwrap();
    assert_eq!(reply.status(), 307);
    assert_eq!(reply.headers()["location"], "http://127.0.0.1:1/");
    assert!(server.await.unwrap().starts_with("GET /v2/things?a=1 HTTP/1.1\r\n"));
}

#[tokio::test]
async fn a_post_without_a_body_says_that_it_has_none() {
    let (base, server) = one_answer("HTTP/1.1 204 No Content\r\n\r\n").await;
    let post = http::Request::post(format!("{base}/servers/1/start")).body(Bytes::new()).unwrap();
    assert_eq!(HttpTransport::new().send(post).await.unwrap().status(), 204);
    let sent = server.await.unwrap();
    assert!(sent.to_lowercase().contains("\r\ncontent-length: 0\r\n"), "{sent}");

    let (base, server) = one_answer("HTTP/1.1 204 No Content\r\n\r\n").await;
    HttpTransport::new().send(get(&base)).await.unwrap();
    let sent = server.await.unwrap();
    assert!(!sent.to_lowercase().contains("content-length"), "{sent}");
}
