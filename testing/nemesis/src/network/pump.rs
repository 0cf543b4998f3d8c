//! Carrying bytes over a link.

use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::link::Quality;
use crate::random::Random;

/// As much as is carried at once.
const PIECE: usize = 64 << 10;
/// How many pieces are under way; then the sender waits, as before a full window.
const WINDOW: usize = 64;

/// A piece, and when it arrives.
struct Piece {
    bytes: Bytes,
    arrives_at: Instant,
}

/// Carries everything from one side to the other, to the end of what comes or until the other side
/// is gone. The end is an event like any other: it does not pass a cut either.
pub async fn carry(
    from: impl AsyncRead + Unpin,
    to: impl AsyncWrite + Unpin,
    link: watch::Receiver<Quality>,
    random: Random,
) {
    let (pieces, arriving) = mpsc::channel(WINDOW);
    // Whatever goes wrong here is a connection that broke, which is what its ends will see.
    let _ = tokio::join!(take(from, pieces, link.clone(), random), give(to, arriving, link));
}

async fn take(
    mut from: impl AsyncRead + Unpin,
    pieces: mpsc::Sender<Piece>,
    link: watch::Receiver<Quality>,
    mut random: Random,
) -> io::Result<()> {
    let mut last = Instant::now();
    loop {
        let mut buffer = BytesMut::with_capacity(PIECE);
        if from.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
        let latency = link.borrow().latency(&mut random);
        last = last.max(Instant::now() + latency);
        let piece = Piece { bytes: buffer.freeze(), arrives_at: last };
        if pieces.send(piece).await.is_err() {
            return Ok(());
        }
    }
}

async fn give(
    mut to: impl AsyncWrite + Unpin,
    mut arriving: mpsc::Receiver<Piece>,
    mut link: watch::Receiver<Quality>,
) -> io::Result<()> {
    while let Some(piece) = arriving.recv().await {
        if piece.arrives_at > Instant::now() {
            tokio::time::sleep_until(piece.arrives_at).await;
        }
        open(&mut link).await;
        to.write_all(&piece.bytes).await?;
    }
    open(&mut link).await;
    to.shutdown().await
}

async fn open(link: &mut watch::Receiver<Quality>) {
    // Links are never taken away while something is carried over them.
    let _ = link.wait_for(|quality| !quality.is_cut).await;
}

#[cfg(test)]
mod tests {
    use super::super::link::{End, Links};
    use super::*;
    use crate::cluster::plan::NodeId;

    const ENDS: (End, End) = (End::Client, End::Node(NodeId(1)));

    /// A cut would lose or let through what TCP holds back.
    #[tokio::test]
    async fn what_is_sent_over_a_cut_link_arrives_once_it_is_healed() {
        let links = Links::default();
        links.set(ENDS.0, ENDS.1, Quality::cut());
        let (mut client, from) = tokio::io::duplex(100);
        let (to, mut server) = tokio::io::duplex(100);
        let carrying = tokio::spawn(carry(from, to, links.get(ENDS.0, ENDS.1), Random::of(1)));
        client.write_all(b"one").await.unwrap();
        drop(client);
        let mut received = Vec::new();
        tokio::select! {
            biased;
            _ = server.read_to_end(&mut received) => panic!("it came through"),
            () = tokio::task::yield_now() => {}
        }
        links.heal();
        server.read_to_end(&mut received).await.unwrap();
        assert_eq!(received, b"one");
        carrying.await.unwrap();
    }
}
