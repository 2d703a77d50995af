//! HTTP/1.1 on a bare socket, for answers that no honest server would write.

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::time::Instant;

use futures_util::Stream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{Plan, pieces, wait_until};

/// Most bytes of a request's head.
const HEAD_BYTES: usize = 16 * 1024;

pub(super) async fn serve(listener: TcpListener) -> Infallible {
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            // Ends with its client, or with the server's runtime.
            tokio::spawn(async move {
                let _ = converse(stream).await;
            });
        }
    }
}

async fn converse(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut text = Vec::new();
    loop {
        let (target, range, end) = loop {
            if let Some(request) = parse(&text)? {
                break request;
            }
            if text.len() > HEAD_BYTES || stream.read_buf(&mut text).await? == 0 {
                return Ok(());
            }
        };
        text.drain(..end);
        if !answer(&mut stream, &target, range.as_deref()).await? {
            return stream.shutdown().await;
        }
    }
}

/// Target, Range and length of a request's head.
fn parse(text: &[u8]) -> io::Result<Option<(String, Option<String>, usize)>> {
    let mut slots = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut slots);
    let httparse::Status::Complete(end) = request.parse(text).map_err(io::Error::other)? else {
        return Ok(None);
    };
    let range = request.headers.iter().find(|field| field.name.eq_ignore_ascii_case("range"));
    let range = range.map(|field| String::from_utf8_lossy(field.value).into_owned());
    Ok(Some((request.path.unwrap_or_default().to_owned(), range, end)))
}

/// Writes an answer; false if the connection must end after it.
async fn answer(stream: &mut TcpStream, target: &str, range: Option<&str>) -> io::Result<bool> {
    let begun = Instant::now();
    let plan = match Plan::parse(target) {
        Ok(plan) => plan,
        Err(why) => {
            let text = format!("HTTP/1.1 400 Bad Request\r\ncontent-length: {}\r\n\r\n{why}", why.len());
            stream.write_all(text.as_bytes()).await?;
            return Ok(true);
        }
    };
    let (reply, is_short) = (plan.reply(range), plan.short > 0);
    wait_until(begun + plan.delay).await;
    let mut text =
        format!("HTTP/1.1 {} planted\r\ncontent-length: {}\r\n", reply.status.as_u16(), reply.to - reply.from);
    for (name, value) in &reply.fields {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    let mut unsent = text.into_bytes();
    if !plan.after.is_zero() {
        stream.write_all(&unsent).await?;
        unsent.clear();
    }
    let mut body = pin!(pieces(plan, &reply));
    loop {
        match std::future::poll_fn(|cx| body.as_mut().poll_next(cx)).await {
            Some(Ok(piece)) => unsent.extend_from_slice(&piece),
            Some(Err(_)) => {
                stream.write_all(&unsent).await?;
                // The client reads what was sent before the reset discards it.
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                stream.set_zero_linger()?;
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            None => break,
        }
        stream.write_all(&unsent).await?;
        unsent.clear();
    }
    stream.write_all(&unsent).await?;
    Ok(!is_short)
}
