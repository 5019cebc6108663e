//! The link between a node and the hub: TLS 1.3 with mutual authentication, frames, credit, and when to dial again.
//!
//! Frames are moved, not understood: what a kind means is `ncp_protocol::frame`'s business. This is the only crate that
//! uses rustls, and no type of rustls appears in its interface.
//!
//! A connection passes through [`listener`] at the hub or [`dial`] at a node; both end in a [`connection::Connection`],
//! whose peer is authenticated by the private CA and named by its certificate ([`identity`]). Whether the directory
//! pins the key of that certificate is in [`identity::PinStatus`], which the daemon must look at before anything else.
//!
//! Absent on purpose: session resumption, tickets, early data, key logging, renegotiation, TLS 1.2, DNS names as
//! identities. A failure of the link is never fatal to a daemon: [`backoff`] says when to try again.

pub mod address;
pub mod backoff;
pub mod connection;
pub mod credit;
pub mod dial;
pub mod frame;
pub mod handshake;
pub mod identity;
pub mod limits;
pub mod listener;
pub mod proxy;
pub mod tls;
mod verify;
