//! Peers that send what is no protocol: a clear line in the log, the peer cut off, the others served.

#[cfg(test)]
mod cases;
#[cfg(test)]
mod raw;
