//! Given a view and commands, exactly these events: the network node by node, without a network.

mod golden;
mod inbound;
mod outbound;
mod release;
mod replay;
mod world;
