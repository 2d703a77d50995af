//! Attacks on TLS handshakes.

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::AsyncWriteExt;
use tokio::time::sleep;

use crate::doors::DoorsProcess;
use crate::h1::connect;
use crate::withstand;
use crate::world::client_tls;

fn client_hello(doors: &DoorsProcess) -> Vec<u8> {
    let config = Arc::new(client_tls(&doors.ca, None, "h2"));
    let mut client = rustls::ClientConnection::new(config, ServerName::try_from("localhost").unwrap()).unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    hello
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handshakes_begun_and_left() {
    let doors = withstand("handshakes left", async |doors: DoorsProcess| {
        let hello = client_hello(&doors);
        loop {
            let mut hoard = Vec::new();
            for number in 0..900 {
                let Ok(mut stream) = connect(doors.tls, number as u8 % 3).await else { continue };
                // Some say nothing at all, some a half, some all that is needed to make work.
                let said = [0, hello.len() / 2, hello.len()][number % 7 % 3];
                let _ = stream.write_all(&hello[..said]).await;
                hoard.push(stream);
                if number % 10 == 0 {
                    sleep(Duration::from_millis(10)).await;
                }
            }
            sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
    doors.until("handshake_crowded", 1).await;
}
