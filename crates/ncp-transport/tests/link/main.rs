//! The link over loopback: handshakes that must succeed or fail for one named reason, listener limits, dialling.
//! Certificates are made afresh for each test; hostile peers speak through rustls or raw bytes.

#[cfg(test)]
mod certificates;
#[cfg(test)]
mod dialling;
#[cfg(test)]
mod handshakes;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod listening;
#[cfg(test)]
mod settings;
#[cfg(test)]
mod world;
