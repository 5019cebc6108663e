//! A node's link against a scripted hub over the real transport: real certificates, real store on a real disk, frames as
//! on the wire. The hub of these tests says and does what each test wants of it, also what an honest one never would.

#[cfg(test)]
mod checks;
#[cfg(test)]
mod clock;
#[cfg(test)]
mod craft;
#[cfg(test)]
mod directory;
#[cfg(test)]
mod greeting;
#[cfg(test)]
mod hub;
#[cfg(test)]
mod receipts;
#[cfg(test)]
mod reception;
#[cfg(test)]
mod rotation;
#[cfg(test)]
mod submission;
#[cfg(test)]
mod world;
