//! A body of known length that comes piece by piece, at constant memory: a file on its way to a daemon, a part on its way
//! from one.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::sync::mpsc;

/// Pieces between the disk and the socket.
const AHEAD: usize = 4;

/// Takes the pieces. An error breaks the body off, so that nobody takes a part for the whole; a closed channel says that
/// nobody reads any more.
pub type PieceSender = mpsc::Sender<io::Result<Bytes>>;

/// The body.
#[derive(Debug)]
pub struct Pieces {
    pieces: mpsc::Receiver<io::Result<Bytes>>,
    left: u64,
}

impl Pieces {
    /// A body of `length` bytes, and what its pieces are given to.
    #[must_use]
    pub fn new(length: u64) -> (PieceSender, Self) {
        let (sender, pieces) = mpsc::channel(AHEAD);
        (sender, Self { pieces, left: length })
    }
}

impl Body for Pieces {
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
