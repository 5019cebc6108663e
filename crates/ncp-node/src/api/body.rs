//! Bodies of answers that are read and opened piece by piece on a thread of their own.

use std::io;

use axum::body::{Body, Bytes};
use ncp_api::pieces::Pieces;

/// A body of `length` bytes; `write` runs on a thread of its own and hands each piece to its argument, which says whether
/// somebody still reads. An error breaks the answer off, so that nobody takes a part for the whole.
pub(super) fn streamed(
    length: u64,
    write: impl FnOnce(&mut dyn FnMut(Vec<u8>) -> bool) -> io::Result<()> + Send + 'static,
) -> Body {
    let (sender, pieces) = Pieces::new(length);
    tokio::task::spawn_blocking(move || {
        let outcome = write(&mut |piece| sender.blocking_send(Ok(Bytes::from(piece))).is_ok());
        if let Err(error) = outcome {
            tracing::error!(%error, "a part could not be read to its end");
            // If nobody reads any more, nobody needs the error.
            let _ = sender.blocking_send(Err(error));
        }
    });
    Body::new(pieces)
}
