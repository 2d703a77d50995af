//! The plain door, with real sockets.

use std::sync::Arc;

use http::Method;
use needledrop_http::{Body, Doors, DoorsConfig, Handler, Request, Response, Running};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Says what it was asked.
struct Echo;

impl Handler for Echo {
    async fn call(&self, request: Request) -> Response {
        if request.target() == "/panic" {
            panic!("on purpose");
        }
        let text = format!("{} {}\n", request.method, request.target());
        if request.method == Method::HEAD {
            return Response::new(Body::full("GET with a body of 30 bytes...\n"));
        }
        Response::new(Body::full(text))
    }
}

fn open() -> (std::net::SocketAddr, Running) {
    let config = DoorsConfig {
        plain: vec!["127.0.0.1:0".parse().unwrap()],
        ..Default::default()
    };
    let doors = Doors::bind(config).unwrap();
    let addr = doors.plain_addrs()[0];
    (addr, doors.serve(Arc::new(Echo)))
}

async fn exchange(addr: std::net::SocketAddr, text: &str) -> String {
    let mut socket = TcpStream::connect(addr).await.unwrap();
    socket.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_request_gets_its_answer() {
    let (addr, _running) = open();
    let answer = exchange(
        addr,
        "GET /a?b=%2F&&c HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("\r\ndate: "), "{answer}");
    assert!(answer.ends_with("\r\n\r\nGET /a?b=%2F&&c\n"), "{answer}");
}

#[tokio::test]
async fn a_panic_is_a_500_and_the_connection_goes_on() {
    let (addr, _running) = open();
    let answer = exchange(
        addr,
        "GET /panic HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
    assert!(answer.ends_with("GET /b\n"), "{answer}");
}
