//! The real daemon over TLS on loopback, with a data folder of its own and scripted peers.

#[cfg(test)]
mod accepting;
#[cfg(test)]
mod delivering;
#[cfg(test)]
mod directory;
#[cfg(test)]
mod flooding;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod network;
#[cfg(test)]
mod peer;
#[cfg(test)]
mod program;
#[cfg(test)]
mod restarting;
