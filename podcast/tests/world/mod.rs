//! A publisher's server for the tests: on loopback, with raw answers by path.
#![allow(dead_code)] // each test file uses a part

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use needledrop_core::network::Cidr;
use needledrop_http::{Outside, Roots};
use needledrop_podcast::Settings;
use needledrop_podcast::fetch::Fetcher;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

#[derive(Clone)]
pub struct Publisher {
    pub base: String,
    pages: Arc<Mutex<HashMap<String, Vec<u8>>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Publisher {
    pub async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let publisher = Self { base, pages: Arc::default(), asked: Arc::default() };
        let server = publisher.clone();
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let server = server.clone();
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        let mut byte = [0];
                        if socket.read(&mut byte).await.unwrap_or(0) == 0 {
                            return;
                        }
                        head.push(byte[0]);
                    }
                    let head = String::from_utf8(head).unwrap();
                    let path = head.split(' ').nth(1).unwrap().to_owned();
                    server.asked.lock().unwrap().push(head);
                    let page = server.pages.lock().unwrap().get(&path).cloned();
                    let nothing = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_vec();
                    let _ = socket.write_all(&page.unwrap_or(nothing)).await;
                });
            }
        });
        publisher
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// Everything that is sent for a path, head and all.
    pub fn raw(&self, path: &str, bytes: impl Into<Vec<u8>>) {
        self.pages.lock().unwrap().insert(path.to_owned(), bytes.into());
    }

    pub fn page(&self, path: &str, status: &str, fields: &str, body: &[u8]) {
        let mut bytes = format!("HTTP/1.1 {status}\r\n{fields}content-length: {}\r\n\r\n", body.len()).into_bytes();
        bytes.extend_from_slice(body);
        self.raw(path, bytes);
    }

    pub fn redirect(&self, path: &str, status: u16, to: &str) {
        self.page(path, &format!("{status} Elsewhere"), &format!("location: {to}\r\n"), b"");
    }

    /// The heads of all requests so far.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// A feed with an episode for each of these guids, whose title is the guid in capitals.
pub fn feed(title: &str, guids: &[&str]) -> Vec<u8> {
    let item = |guid: &&str| {
        let name = guid.to_uppercase();
        format!(
            "<item><title>{name}</title><guid>{guid}</guid><enclosure url=\"http://cdn.example/{guid}.mp3\"/></item>"
        )
    };
    let items: String = guids.iter().map(item).collect();
    format!("<rss><channel><title>{title}</title>{items}</channel></rss>").into_bytes()
}

pub fn outside() -> Outside {
    Outside::new(Cidr::LOOPBACK.to_vec())
}

pub fn fetcher() -> Fetcher {
    Fetcher::within(outside(), Roots::System, std::time::Duration::from_secs(2)).unwrap()
}

pub fn settings() -> Settings {
    Settings { outside: outside(), roots: Roots::System, is_open: true }
}
