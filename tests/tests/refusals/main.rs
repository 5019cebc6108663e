//! What the hub and a node refuse, each for its own reason, and that nothing of it is stored.

#[cfg(test)]
mod certificates;
#[cfg(test)]
mod hub;
#[cfg(test)]
mod lying_hub;
#[cfg(test)]
mod lying_originator;
#[cfg(test)]
mod world;
