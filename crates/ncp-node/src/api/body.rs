//! Bodies of answers that are read and opened piece by piece on a thread of their own.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::mpsc;

/// Pieces on their way between disk and socket.
const PIECES_AHEAD: usize = 4;

/// A body of known length that comes piece by piece.
struct Pieces {
    pieces: mpsc::Receiver<io::Result<Bytes>>,
    left: u64,
}

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let next = self.pieces.poll_recv(context);
        if let Poll::Ready(Some(Ok(piece))) = &next {
            self.left = self.left.saturating_sub(piece.len() as u64);
        }
        next.map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// A body of `length` bytes; `write` runs on a thread of its own and hands each piece to its argument, which says whether
/// somebody still reads. An error breaks the answer off, so that nobody takes a part for the whole.
pub(super) fn streamed(
    length: u64,
    write: impl FnOnce(&mut dyn FnMut(Vec<u8>) -> bool) -> io::Result<()> + Send + 'static,
) -> Body {
    let (sender, pieces) = mpsc::channel(PIECES_AHEAD);
    tokio::task::spawn_blocking(move || {
        let outcome = write(&mut |piece| sender.blocking_send(Ok(Bytes::from(piece))).is_ok());
        if let Err(error) = outcome {
            tracing::error!(%error, "a part could not be read to its end");
            // If nobody reads any more, nobody needs the error.
            let _ = sender.blocking_send(Err(error));
        }
    });
    Body::new(Pieces { pieces, left: length })
}
