//! The node's daemon as a library, with a data folder and an API socket of its own and no hub: what officers do, what they
//! may not do, and what the disk shows of it.

#[cfg(test)]
mod attachments;
#[cfg(test)]
mod bound;
#[cfg(test)]
mod coded;
#[cfg(test)]
mod doctor;
#[cfg(test)]
mod messages;
#[cfg(test)]
mod party;
#[cfg(test)]
mod ping;
#[cfg(test)]
mod release;
#[cfg(test)]
mod secrecy;
#[cfg(test)]
mod startup;
#[cfg(test)]
mod work;
#[cfg(test)]
mod world;
