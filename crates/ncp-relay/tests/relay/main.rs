//! The real daemon over TLS on loopback, with a data folder of its own and scripted peers.

mod accepting;
mod delivering;
mod directory;
mod hostile;
mod network;
mod peer;
mod program;
mod restarting;
