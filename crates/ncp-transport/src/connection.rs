//! An authenticated connection: peer, facts, and the two halves that move frames.

use core::net::SocketAddr;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::io;

use ncp_protocol::frame::payload_max;
use ncp_protocol::ids::ParticipantId;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio_rustls::TlsStream;

use crate::frame::{FrameReader, FrameWriter, IdleLimit};
use crate::handshake::{Authenticated, TlsFacts};
use crate::identity::{PeerIdentity, PinStatus};
use crate::listener::places::CountedPlace;
use crate::tls::PeerCertificates;

/// The receiving half of a [`Connection`].
pub type LinkReader = FrameReader<ReadHalf<LinkStream>>;
/// The sending half of a [`Connection`].
pub type LinkWriter = FrameWriter<WriteHalf<LinkStream>>;

/// A connection whose peer is authenticated by the private CA. It ends when both halves are dropped.
#[derive(Debug)]
pub struct Connection {
    /// Who the peer is, by its certificate.
    pub peer: PeerIdentity,
    /// Whether the directory pins the certificate's key. Anything but [`PinStatus::Pinned`] restricts what may follow.
    pub pin: PinStatus,
    /// The other end of the TCP connection: a proxy's address, if there is one.
    pub peer_addr: SocketAddr,
    /// What the handshake agreed on.
    pub tls: TlsFacts,
    /// What the peer showed: to check it again after a reload
    /// ([`TlsSettings::check_again`](crate::tls::TlsSettings::check_again)).
    pub certificates: PeerCertificates,
    /// Frames from the peer.
    pub reader: LinkReader,
    /// Frames to the peer.
    pub writer: LinkWriter,
}

impl Connection {
    pub(crate) fn new(
        authenticated: Authenticated,
        peer_addr: SocketAddr,
        pin: PinStatus,
        idle: IdleLimit,
        place: Option<LinkPlace>,
    ) -> Self {
        let Authenticated { stream, peer, certificates, facts } = authenticated;
        let (read, write) = tokio::io::split(LinkStream { stream, _place: place });
        Self {
            peer,
            pin,
            peer_addr,
            tls: facts,
            certificates,
            reader: FrameReader::new(read, idle.clone(), payload_max),
            writer: FrameWriter::new(write, idle),
        }
    }
}

/// The places that a link takes at its listener.
#[derive(Debug)]
pub(crate) struct LinkPlace {
    pub(crate) _all: OwnedSemaphorePermit,
    pub(crate) _participant: CountedPlace<(ParticipantId, PinStatus)>,
}

/// The bytes under the frames: TLS over TCP, and the places that the connection takes at its listener. They are
/// free again when the stream is dropped, whichever half was the last.
#[derive(Debug)]
pub struct LinkStream {
    stream: TlsStream<TcpStream>,
    _place: Option<LinkPlace>,
}

impl AsyncRead for LinkStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for LinkStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
