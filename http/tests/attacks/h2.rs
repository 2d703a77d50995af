//! Attacks with HTTP/2 frames, written by hand.

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::client::TlsStream;

use crate::doors::{DoorsProcess, STALL};
use crate::h1::{connect, is_cut};
use crate::withstand;
use crate::world::client_tls;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

fn setting(id: u16, value: u32) -> Vec<u8> {
    let mut setting = id.to_be_bytes().to_vec();
    setting.extend(value.to_be_bytes());
    setting
}

/// A request head in HPACK, without the dynamic table.
fn head(path: &str) -> Vec<u8> {
    let mut block = vec![0x82, 0x87];
    for (name, value) in [(0x04, path), (0x01, "localhost")] {
        block.extend([name, u8::try_from(value.len()).unwrap()]);
        block.extend(value.as_bytes());
    }
    block
}

fn request(stream: u32, path: &str) -> Vec<u8> {
    frame(HEADERS, END_STREAM | END_HEADERS, stream, &head(path))
}

type Reading = ReadHalf<TlsStream<TcpStream>>;
type Writing = WriteHalf<TlsStream<TcpStream>>;

/// A connection of an attacker, after its preface and these SETTINGS.
async fn open(doors: &DoorsProcess, host: u8, settings: &[u8]) -> std::io::Result<(Reading, Writing)> {
    let tcp = connect(doors.tls, host).await?;
    let connector = tokio_rustls::TlsConnector::from(Arc::new(client_tls(&doors.ca, None, "h2")));
    let stream = connector.connect(ServerName::try_from("localhost").unwrap(), tcp).await?;
    let (reading, mut writing) = tokio::io::split(stream);
    writing.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await?;
    writing.write_all(&frame(SETTINGS, 0, 0, settings)).await?;
    writing.flush().await?;
    Ok((reading, writing))
}

/// Writes what `next` gives for 0, 1, 2… until it is cut, again and again; each connection must be cut soon.
async fn flood(doors: DoorsProcess, next: impl Fn(u32) -> Vec<u8>) {
    loop {
        let Ok((mut reading, mut writing)) = open(&doors, 1, &[]).await else { continue };
        let drained = tokio::spawn(async move { is_cut(&mut reading, Duration::from_secs(5)).await });
        let writes = async {
            for batch in 0u32.. {
                let frames: Vec<u8> = (batch * 50..batch * 50 + 50).flat_map(&next).collect();
                if writing.write_all(&frames).await.is_err() || writing.flush().await.is_err() || drained.is_finished()
                {
                    return;
                }
                // As fast as honest clients leave room for: the cores are theirs as well.
                sleep(Duration::from_micros(500)).await;
            }
        };
        assert!(timeout(Duration::from_secs(5), writes).await.is_ok(), "a flood is taken for ever");
        assert!(drained.await.unwrap(), "a flooding connection stays open");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rapid_reset() {
    let doors = withstand("rapid reset", |doors| {
        flood(doors, |n| {
            let stream = 2 * n + 1;
            [request(stream, "/never"), frame(RST_STREAM, 0, stream, &8u32.to_be_bytes())].concat()
        })
    })
    .await;
    assert!(doors.counter("h2_broken") + doors.counter("h2_flooded") > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn made_you_reset() {
    let doors = withstand("made you reset", |doors| {
        flood(doors, |n| {
            let stream = 2 * n + 1;
            // An increment of zero is an error of the stream (RFC 9113 6.9): the doors reset it.
            [request(stream, "/never"), frame(WINDOW_UPDATE, 0, stream, &0u32.to_be_bytes())].concat()
        })
    })
    .await;
    assert!(doors.counter("h2_broken") + doors.counter("h2_flooded") > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn continuation_flood() {
    let doors = withstand("CONTINUATION flood", |doors| {
        flood(doors, |n| match n {
            0 => frame(HEADERS, END_STREAM, 1, &head("/hello")),
            _ => frame(CONTINUATION, 0, 1, &[0x00, 1, b'a', 1, b'b']),
        })
    })
    .await;
    assert!(doors.counter("h2_broken") > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_of_frames_that_bring_nothing() {
    let doors = withstand("SETTINGS, PING, PRIORITY, windows, unknown frames", async |doors: DoorsProcess| {
        let kinds: [fn(u32) -> Vec<u8>; 5] = [
            |n| frame(SETTINGS, 0, 0, &setting(4, n % 60_000)),
            |_| frame(PING, 0, 0, &[7; 8]),
            |n| frame(PRIORITY, 0, 2 * n + 1, &[0, 0, 0, 0, 7]),
            |_| frame(WINDOW_UPDATE, 0, 0, &1u32.to_be_bytes()),
            |_| frame(0x77, 0, 0, b"grease"),
        ];
        let mut floods = JoinSet::new();
        for kind in kinds {
            floods.spawn(flood(doors.clone(), kind));
        }
        floods.join_all().await;
    })
    .await;
    doors.until("h2_flooded", 5).await;
    assert_eq!(doors.counter("h2_broken"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn empty_data_flood() {
    withstand("empty DATA", |doors| {
        flood(doors, |n| match n {
            0 => frame(HEADERS, END_HEADERS, 1, &head("/never")),
            _ => frame(DATA, 0, 1, &[]),
        })
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hpack_bomb() {
    withstand("HPACK bomb", |doors| {
        flood(doors, |n| {
            let stream = 2 * n + 1;
            // A field of 4,000 bytes into the dynamic table, then the same a few thousand times by its index.
            let mut block = head("/hello");
            if n == 0 {
                block.extend([0x40, 1, b'a', 0x7f, 0xa1, 0x1e]);
                block.extend([b'b'; 4_000]);
            }
            block.extend([0xbe; 8_000]);
            frame(HEADERS, END_STREAM | END_HEADERS, stream, &block)
        })
    })
    .await;
}

/// Opens connections full of streams whose windows let little or nothing through, and keeps them.
async fn unread(doors: DoorsProcess, trickle: Option<u32>) {
    let mut hoard = JoinSet::new();
    for host in 0..2 {
        for _ in 0..5 {
            let (mut reading, mut writing) = open(&doors, host, &setting(4, 0)).await.unwrap();
            hoard.spawn(async move {
                let requests: Vec<u8> = (0..100).flat_map(|n| request(2 * n + 1, "/huge")).collect();
                writing.write_all(&requests).await.unwrap();
                writing.flush().await.unwrap();
                let drained = tokio::spawn(async move { is_cut(&mut reading, Duration::from_secs(60)).await });
                loop {
                    sleep(Duration::from_millis(200)).await;
                    if let Some(bytes) = trickle {
                        let updates: Vec<u8> =
                            (0..100).flat_map(|n| frame(WINDOW_UPDATE, 0, 2 * n + 1, &bytes.to_be_bytes())).collect();
                        let _ = writing.write_all(&updates).await;
                        let _ = writing.flush().await;
                    }
                    if drained.is_finished() {
                        std::future::pending::<()>().await;
                    }
                }
            });
        }
    }
    hoard.join_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn windows_that_stay_shut() {
    let doors = withstand("zero windows", |doors| unread(doors, None)).await;
    // A few of each connection may be paused players.
    doors.until("stream_stalled", 10 * 96).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn windows_that_open_byte_by_byte() {
    let doors = withstand("slow windows", |doors| unread(doors, Some(1))).await;
    let cut = doors.counter("slow_reader") + doors.counter("h2_flooded");
    assert!(cut > 0, "a byte now and then counts as reading");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_player_is_no_attacker() {
    let _turn = crate::ONE_AT_A_TIME.lock().await;
    let doors = DoorsProcess::start();
    let (mut reading, mut writing) = open(&doors, 9, &setting(4, 0)).await.unwrap();
    let tracks: Vec<u8> = [1, 3].into_iter().flat_map(|stream| request(stream, "/big")).collect();
    writing.write_all(&tracks).await.unwrap();
    writing.flush().await.unwrap();
    sleep(STALL * 3).await;
    let window = 1_000_000u32.to_be_bytes();
    let on: Vec<u8> = [0, 1, 3].into_iter().flat_map(|stream| frame(WINDOW_UPDATE, 0, stream, &window)).collect();
    writing.write_all(&on).await.unwrap();
    writing.flush().await.unwrap();
    let (mut came, mut ended) = (0, 0);
    while ended < 2 {
        let mut header = [0; 9];
        timeout(Duration::from_secs(5), reading.read_exact(&mut header)).await.unwrap().unwrap();
        let [a, b, c, kind, flags, ..] = header;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        reading.read_exact(&mut payload).await.unwrap();
        assert_ne!(kind, RST_STREAM, "a paused track was reset");
        if kind == DATA {
            came += payload.len();
            ended += usize::from(flags & END_STREAM);
        }
    }
    assert_eq!(came, 2 * crate::world::BIG);
}
