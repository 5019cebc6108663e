//! Frames: length, kind, payload. Moved, not understood.
//!
//! Layout: `u32` little-endian length of what follows, one byte kind, payload. The length is at least 1 and at most
//! [`FRAME_MAX`], and a kind has a bound of its own, which the protocol's table gives; both are checked before anything
//! is allocated for the payload, and memory then grows with what arrives.
//!
//! A [`FrameReader`] bounds the peer's time: silence between frames by an idle limit that a daemon can lower under
//! stress, and inside a frame at least [`RATE_MIN`] bytes a second after a grace of [`RATE_GRACE`]. Reader and writer
//! are halves for two tasks. After an error a half is of no more use; the link ends.

use core::time::Duration;
use std::io;

use ncp_protocol::limits::FRAME_MAX;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use crate::handshake::{Alert, Blame, tls_cause};
use crate::limits::{RATE_GRACE, RATE_MIN, READ_STEP, WRITE_GATHER};

/// Bytes of the length field.
const LENGTH: usize = 4;
/// Bytes before the payload.
const HEAD: usize = LENGTH + 1;

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawFrame {
    /// What the payload is; the protocol's business.
    pub kind: u8,
    /// At most [`FRAME_MAX`] − 1 bytes.
    pub payload: Vec<u8>,
}

/// Why a half of a link ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum FrameError {
    /// The peer claimed a longer frame than there is, or than its kind may have. Nothing was allocated for it.
    #[error("the peer claimed a frame of {claimed} bytes")]
    TooLong {
        /// The length field.
        claimed: u32,
    },
    /// The peer sent a frame of a kind that there is not. Nothing was allocated for it.
    #[error("the peer sent a frame of the unknown kind {kind}")]
    UnknownKind {
        /// The kind byte.
        kind: u8,
    },
    /// The peer sent a frame without a kind.
    #[error("the peer sent an empty frame")]
    Empty,
    /// The connection ended inside a frame.
    #[error("the connection ended inside a frame, after {received} of its bytes")]
    Truncated {
        /// Bytes of the frame that had arrived, the length field included.
        received: usize,
    },
    /// The connection ended between two frames, without the closing alert of TLS: not by the peer's will, or not its
    /// whole will.
    #[error("the connection was cut")]
    Cut,
    /// The peer was silent for longer than the idle limit.
    #[error("the peer was silent for too long")]
    Idle,
    /// The peer sent less than [`RATE_MIN`] bytes a second inside a frame.
    #[error("the peer sent too slowly")]
    TooSlow,
    /// The peer took nothing from us for longer than the idle limit.
    #[error("the peer does not read")]
    Stalled,
    /// The peer refused us by an alert: at the first read, our certificate.
    #[error("the peer refused us: {0}")]
    RefusedByPeer(Alert),
    /// What arrived breaks the rules of TLS, or does not decrypt: corrupted on the way, or forged.
    #[error("what arrived is not what the peer sent")]
    Tls,
    /// Our own frame is longer than [`FRAME_MAX`]: our bug. Nothing of it was sent.
    #[error("own frame of {length} bytes is too long")]
    OwnTooLong {
        /// Kind and payload.
        length: usize,
    },
    /// The connection failed.
    #[error("the connection failed: {0}")]
    Io(io::ErrorKind),
}

impl FrameError {
    /// Who has to act.
    #[must_use]
    pub fn blame(&self) -> Blame {
        match self {
            Self::TooLong { .. } | Self::UnknownKind { .. } | Self::Empty => Blame::Peer,
            Self::Truncated { .. }
            | Self::Cut
            | Self::Idle
            | Self::TooSlow
            | Self::Stalled
            | Self::Tls
            | Self::Io(_) => Blame::Network,
            Self::RefusedByPeer(_) | Self::OwnTooLong { .. } => Blame::Ours,
        }
    }

    fn of_io(error: &io::Error) -> Self {
        match tls_cause(error) {
            Some(rustls::Error::AlertReceived(alert)) => Self::RefusedByPeer(Alert((*alert).into())),
            Some(_) => Self::Tls,
            None => Self::Io(error.kind()),
        }
    }
}

/// How long a link may be silent, and how long a peer may take nothing. Clones share one value.
#[derive(Debug, Clone)]
pub struct IdleLimit(watch::Receiver<Duration>);

impl IdleLimit {
    /// A limit that stays as it is, say [`IDLE_TIMEOUT`](crate::limits::IDLE_TIMEOUT).
    #[must_use]
    pub fn fixed(limit: Duration) -> Self {
        Self(watch::channel(limit).1)
    }

    /// A limit that can be changed for all links at once, also for those that wait: under stress a daemon sends
    /// [`IDLE_TIMEOUT_STRESS`](crate::limits::IDLE_TIMEOUT_STRESS).
    #[must_use]
    pub fn adjustable(limit: Duration) -> (watch::Sender<Duration>, Self) {
        let (sender, receiver) = watch::channel(limit);
        (sender, Self(receiver))
    }

    fn current(&self) -> Duration {
        *self.0.borrow()
    }
}

/// The longest payload of a kind, `None` if there is no such kind: [`ncp_protocol::frame::payload_max`] on a link.
pub type PayloadMax = fn(u8) -> Option<usize>;

/// The receiving half of a link.
#[derive(Debug)]
pub struct FrameReader<R> {
    io: R,
    idle: IdleLimit,
    payload_max: PayloadMax,
    head: [u8; HEAD],
    head_filled: usize,
    payload: Vec<u8>,
    /// When the wait for the next frame began; while a frame arrives, when its first byte came.
    since: Option<Instant>,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    /// Reads frames of the kinds that `payload_max` knows from `io`.
    pub fn new(io: R, idle: IdleLimit, payload_max: PayloadMax) -> Self {
        Self { io, idle, payload_max, head: [0; HEAD], head_filled: 0, payload: Vec::new(), since: None }
    }

    /// The next frame; `None` when the peer has closed in good order, between two frames.
    ///
    /// Safe to cancel: what has arrived of a frame is kept, and so are the times. Once a frame has begun, call again
    /// without long pauses, for its clock runs.
    ///
    /// # Errors
    /// [`FrameError`].
    pub async fn next(&mut self) -> Result<Option<RawFrame>, FrameError> {
        loop {
            let missing = self.missing()?;
            if missing == 0 {
                return Ok(Some(self.take_frame()));
            }
            match self.read_within_time(missing).await? {
                Some(0) if self.received() == 0 => return Ok(None),
                Some(0) => return Err(FrameError::Truncated { received: self.received() }),
                Some(_) => (),
                // The idle limit has changed: reckon anew.
                None => (),
            }
        }
    }

    /// How many bytes must come next before anything can be decided.
    fn missing(&self) -> Result<usize, FrameError> {
        let [length @ .., kind] = self.head;
        if self.head_filled < LENGTH {
            return Ok(LENGTH - self.head_filled);
        }
        let claimed = u32::from_le_bytes(length);
        let length = usize::try_from(claimed).ok().filter(|&length| length <= FRAME_MAX);
        let length = length.ok_or(FrameError::TooLong { claimed })?;
        let payload = length.checked_sub(1).ok_or(FrameError::Empty)?;
        if self.head_filled < HEAD {
            return Ok(1);
        }
        let longest = (self.payload_max)(kind).ok_or(FrameError::UnknownKind { kind })?;
        if payload > longest {
            return Err(FrameError::TooLong { claimed });
        }
        Ok(payload - self.payload.len())
    }

    /// Bytes of the current frame so far.
    fn received(&self) -> usize {
        self.head_filled + self.payload.len()
    }

    fn take_frame(&mut self) -> RawFrame {
        let [.., kind] = self.head;
        self.head_filled = 0;
        self.since = None;
        RawFrame { kind, payload: core::mem::take(&mut self.payload) }
    }

    /// One read, or `None` if the idle limit changed meanwhile.
    async fn read_within_time(&mut self, missing: usize) -> Result<Option<usize>, FrameError> {
        let received = self.received();
        let since = *self.since.get_or_insert_with(Instant::now);
        let (limit, overdue) = if received == 0 {
            (self.idle.0.borrow_and_update().to_owned(), FrameError::Idle)
        } else {
            (RATE_GRACE + Duration::from_secs(received as u64) / RATE_MIN, FrameError::TooSlow)
        };
        let Self { io, idle, head, head_filled, payload, .. } = self;
        let read = read_some(io, head, head_filled, payload, missing);
        let outcome = tokio::select! {
            biased;
            outcome = read => outcome,
            () = sleep_until(since + limit) => return Err(overdue),
            Ok(()) = idle.0.changed(), if received == 0 => return Ok(None),
        };
        match outcome {
            Ok(count) => {
                if received == 0 && count > 0 {
                    self.since = Some(Instant::now());
                }
                Ok(Some(count))
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && received == 0 => Err(FrameError::Cut),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(FrameError::Truncated { received }),
            Err(error) => Err(FrameError::of_io(&error)),
        }
    }
}

/// Reads into the head until it is full, then into the payload. Safe to cancel: one read, stored as it returns.
async fn read_some<R: AsyncRead + Unpin>(
    io: &mut R,
    head: &mut [u8; HEAD],
    head_filled: &mut usize,
    payload: &mut Vec<u8>,
    missing: usize,
) -> io::Result<usize> {
    if *head_filled < HEAD {
        // Not beyond the length field before it is checked, nor beyond the kind after.
        let end = if *head_filled < LENGTH { LENGTH } else { HEAD };
        let count = io.read(head.get_mut(*head_filled..end).unwrap_or_default()).await?;
        *head_filled += count;
        return Ok(count);
    }
    if payload.len() == payload.capacity() {
        // One step at first; a vector that grows doubles, so memory stays below twice of what has arrived.
        payload.reserve(missing.min(READ_STEP));
    }
    io.take(missing as u64).read_buf(payload).await
}

/// The sending half of a link. Frames are gathered and written together.
#[derive(Debug)]
pub struct FrameWriter<W> {
    io: W,
    idle: IdleLimit,
    buffer: Vec<u8>,
    written: usize,
}

impl<W: AsyncWrite + Unpin> FrameWriter<W> {
    /// Writes frames to `io`.
    pub fn new(io: W, idle: IdleLimit) -> Self {
        Self { io, idle, buffer: Vec::new(), written: 0 }
    }

    /// Takes a frame in; writes only if [`WRITE_GATHER`] bytes have gathered before it. Call [`FrameWriter::flush`] when
    /// there is nothing more to feed.
    ///
    /// Safe to cancel: the frame is then not taken in.
    ///
    /// # Errors
    /// [`FrameError::OwnTooLong`], after which the writer is as before; otherwise as [`FrameWriter::flush`].
    pub async fn feed(&mut self, frame: &RawFrame) -> Result<(), FrameError> {
        let length = frame.payload.len() + 1;
        let field = u32::try_from(length).ok().filter(|_| length <= FRAME_MAX);
        let field = field.ok_or(FrameError::OwnTooLong { length })?;
        if self.buffer.len() >= WRITE_GATHER {
            self.write_buffer().await?;
        }
        self.buffer.extend_from_slice(&field.to_le_bytes());
        self.buffer.push(frame.kind);
        self.buffer.extend_from_slice(&frame.payload);
        Ok(())
    }

    /// Writes all that was fed and passes it to the network.
    ///
    /// Safe to cancel: the next flush goes on where this one stopped.
    ///
    /// # Errors
    /// [`FrameError::Stalled`] if the peer takes nothing for the idle limit; the ways in which a connection fails.
    pub async fn flush(&mut self) -> Result<(), FrameError> {
        self.write_buffer().await?;
        let limit = self.idle.current();
        let flushed = timeout(limit, self.io.flush()).await.map_err(|_| FrameError::Stalled)?;
        flushed.map_err(|error| FrameError::of_io(&error))
    }

    /// [`FrameWriter::feed`] and [`FrameWriter::flush`]. If it is cancelled, the frame may or may not be taken in.
    ///
    /// # Errors
    /// As both.
    pub async fn send(&mut self, frame: &RawFrame) -> Result<(), FrameError> {
        self.feed(frame).await?;
        self.flush().await
    }

    /// Sends what was fed, then the closing alert of TLS, so that the peer can tell an end from a cut.
    ///
    /// # Errors
    /// As [`FrameWriter::flush`].
    pub async fn close(mut self) -> Result<(), FrameError> {
        self.flush().await?;
        let limit = self.idle.current();
        let closed = timeout(limit, self.io.shutdown()).await.map_err(|_| FrameError::Stalled)?;
        closed.map_err(|error| FrameError::of_io(&error))
    }

    async fn write_buffer(&mut self) -> Result<(), FrameError> {
        let limit = self.idle.current();
        while let Some(rest) = self.buffer.get(self.written..).filter(|rest| !rest.is_empty()) {
            let written = timeout(limit, self.io.write(rest)).await.map_err(|_| FrameError::Stalled)?;
            match written.map_err(|error| FrameError::of_io(&error))? {
                0 => return Err(FrameError::Io(io::ErrorKind::WriteZero)),
                count => self.written += count,
            }
        }
        self.buffer.clear();
        self.written = 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
