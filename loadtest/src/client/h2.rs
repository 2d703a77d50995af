//! HTTP/2 (RFC 9113) on the h2 crate: TLS, or plain with prior knowledge. A task of its own reads the connection, so
//! that pings are answered and a GOAWAY is seen while nothing is asked.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Instant;

use bytes::Bytes;
use h2::{Reason, RecvStream};
use http::{Method, Request, Uri, Version};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::answer::Account;
use super::h1::HEAD_BYTES;
use super::patience::Patience;
use super::wire::{Opened, Wire};
use super::{Answer, ClientConfig, Device, Failure, Get, Head, Origin, Reader, Wish};
use crate::measured::{Opening, Protocol, Trouble};

pub(super) struct Connection {
    sender: h2::client::SendRequest<Bytes>,
    driver: Driver,
    opened: Opened,
    config: ClientConfig,
}

/// What moves the connection's bytes: a task, once there is something to move.
struct Driver {
    /// Not yet: the first request has to be there before anything is written, to go along as early data.
    waiting: Option<Box<h2::client::Connection<Wire, Bytes>>>,
    task: Option<JoinHandle<()>>,
}

impl Connection {
    pub(super) async fn open(device: &Device, origin: &Origin, wish: Wish) -> Result<Self, Failure> {
        let wire = Wire::open(device, origin, Protocol::H2, wish).await?;
        let (opened, is_early) = (wire.opened(), wire.is_early());
        let config = device.client.config.clone();
        let shaken = h2::client::Builder::new()
            .enable_push(false)
            .initial_window_size(config.stream_window)
            .initial_connection_window_size(config.connection_window)
            .max_header_list_size(HEAD_BYTES as u32)
            .max_send_buffer_size(HEAD_BYTES)
            .handshake(wire);
        let (sender, connection) = shaken.await.map_err(|error| failed("beginning HTTP/2", &error))?;
        let mut driver = Driver { waiting: Some(Box::new(connection)), task: None };
        if !is_early {
            driver.start();
        }
        Ok(Self { sender, driver, opened, config })
    }

    pub(super) fn opening(&self) -> Opening {
        self.opened.get()
    }

    pub(super) fn is_usable(&self) -> bool {
        let has_ended = self.driver.task.as_ref().is_some_and(JoinHandle::is_finished);
        let mut sender = self.sender.clone();
        let mut context = std::task::Context::from_waker(futures_util::task::noop_waker_ref());
        // Pending would mean that the server allows no stream at all at present.
        !has_ended && !matches!(sender.poll_ready(&mut context), Poll::Ready(Err(_)))
    }

    /// Says GOAWAY, and waits for the driver to have sent it.
    pub(super) async fn close(self) {
        let Self { sender, mut driver, .. } = self;
        drop(sender);
        if let Some(task) = &mut driver.task {
            let _ = task.await;
        }
    }

    pub(super) async fn get(
        &mut self,
        origin: &Origin,
        get: &Get<'_>,
        reader: &mut impl Reader,
    ) -> Result<Answer, Failure> {
        let limit = self.config.head_timeout;
        let asking = timeout(limit, self.ask(origin, get)).await;
        let (head, mut body) = asking.unwrap_or_else(|_| Err(Failure::no_head(limit)))?;
        let mut account = Account::open(get, &head)?;
        reader.head(&head);
        let limit = self.config.body_timeout;
        let mut patience = Patience::new(limit);
        loop {
            let next = poll_fn(|cx| match body.poll_data(cx) {
                Poll::Pending => patience.poll(cx).map(|()| Err(Failure::no_piece(limit, account.come()))),
                Poll::Ready(next) => Poll::Ready(next.transpose().map_err(|error| broke(&error, &account))),
            });
            let next = next.await?;
            let at = Instant::now();
            let Some(piece) = next else {
                account.end()?;
                return Ok(Answer { head, body_bytes: account.come(), ended_at: at, left: false });
            };
            let _ = body.flow_control().release_capacity(piece.len());
            account.take(piece.len())?;
            if !piece.is_empty() && reader.body(at, &piece).is_break() {
                // Dropping the body resets the stream.
                return Ok(Answer { head, body_bytes: account.come(), ended_at: at, left: true });
            }
            if let Some(until) = reader.rests_until() {
                tokio::time::sleep_until(until.into()).await;
            }
            patience.renew();
        }
    }

    async fn ask(&mut self, origin: &Origin, get: &Get<'_>) -> Result<(Head, RecvStream), Failure> {
        let uri = Uri::builder().scheme(origin.scheme()).authority(origin.authority()).path_and_query(get.target);
        let uri = uri.build().map_err(|error| Failure::new(Trouble::Ourselves, format!("no URL: {error}")))?;
        let mut request = Request::new(());
        *request.method_mut() = Method::GET;
        *request.version_mut() = Version::HTTP_2;
        *request.uri_mut() = uri;
        *request.headers_mut() = get.fields()?;
        let failed = |error| failed("asking", &error);
        poll_fn(|cx| self.sender.poll_ready(cx)).await.map_err(failed)?;
        let (response, _) = self.sender.send_request(request, true).map_err(failed)?;
        self.driver.start();
        let (head, body) = response.await.map_err(failed)?.into_parts();
        Ok((Head::new(head.status, head.headers, Instant::now())?, body))
    }
}

impl Driver {
    fn start(&mut self) {
        let Some(connection) = self.waiting.take() else {
            return;
        };
        self.task = Some(tokio::spawn(async move {
            // Its error reaches the streams too, where somebody waits for it.
            let _ = connection.await;
        }));
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

fn failed(doing: &str, error: &h2::Error) -> Failure {
    if let Some(error) = error.get_io() {
        return Failure::io(Trouble::Broken, doing, error);
    }
    let sentence = format!("{doing}: {error}");
    match error.is_library() {
        true => Failure::protocol(sentence),
        false => Failure::broken(sentence),
    }
}

/// h2 itself resets a stream whose body does not have its Content-Length (RFC 9113 8.1.1).
fn broke(error: &h2::Error, account: &Account) -> Failure {
    let doing = format!("after {} bytes of the body", account.come());
    let by_us = error.is_library() && error.is_reset() && error.reason() == Some(Reason::PROTOCOL_ERROR);
    if by_us && account.declared().is_some() {
        return Failure::length(format!("{doing}: it has not the length that it says"));
    }
    failed(&doing, error)
}
