//! The program itself against a daemon that answers from a table and records what it was asked.

#[cfg(test)]
mod daemon;
#[cfg(test)]
mod desk;
#[cfg(test)]
mod errors;
#[cfg(test)]
mod messages;
#[cfg(test)]
mod output;
#[cfg(test)]
mod release;
#[cfg(test)]
mod values;
