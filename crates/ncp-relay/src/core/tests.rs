//! Given a view and a command, exactly these events; then random command sequences.

mod directory;
mod evidence;
mod golden;
mod mailbox;
mod random;
mod submission;
mod waiting;
mod world;
