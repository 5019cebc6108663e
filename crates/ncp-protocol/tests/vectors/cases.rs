//! All scenarios, by what they are about.

mod change;
mod directory;
mod link;
mod log;
mod message;
mod sealed;

use crate::scenario::Scenario;

pub(crate) fn all() -> Vec<Scenario> {
    [message::all(), change::all(), sealed::all(), directory::all(), log::all(), link::all()]
        .into_iter()
        .flatten()
        .collect()
}
