//! The protocol of the network, pure: values in, values out. No runtime, file, clock or ambient randomness; time and
//! chance are arguments.
//!
//! Start at [`envelope`] for what travels, [`event`] for what a journal says, [`evidence`] for what a receipt proves,
//! [`frame`] for the link. `docs/PROTOCOL.md` describes the same for whoever writes a second implementation.
//!
//! Kind bytes of the [`Prefix`](codec::Prefix) before what is stored or sent as a whole:
//!
//! | byte | what follows | byte | what follows |
//! |---|---|---|---|
//! | `H` | header | `D`, `d` | directory entry; with its signature |
//! | `V` | envelope | `R`, `r` | root of trust; with its signatures |
//! | `M` | content manifest | `G`, `g` | membership statement; with its signatures |
//! | `A` | approval statement | `T`, `t` | timestamp statement; with its signatures |
//! | `Q` | officer request | `E` | event |

pub mod approval;
pub mod backup;
pub mod body;
pub mod checkpoint;
pub mod codec;
pub mod codes;
pub mod cosignature;
pub mod directory;
pub mod envelope;
pub mod event;
pub mod evidence;
pub mod frame;
pub mod header;
pub mod ids;
pub mod keys;
pub mod limits;
pub mod manifest;
pub mod merkle;
pub mod note;
pub mod padding;
pub mod proof;
pub mod reject;
pub mod root;
pub mod symmetric;
pub mod wrap;

#[cfg(test)]
mod samples;
#[cfg(test)]
mod sweep;
