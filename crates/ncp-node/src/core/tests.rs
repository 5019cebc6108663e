//! Given a view and commands, exactly these events: the network node by node, without a network.

mod inbound;
mod outbound;
mod release;
mod replay;
mod world;
