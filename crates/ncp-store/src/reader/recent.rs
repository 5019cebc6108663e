//! Groups of the journal that were written or read lately. Evidence is asked for as soon as it stands, one proof for each
//! event of a group: none of them reads the group again.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::journal::{Group, GroupPlace};
use crate::limits::{RECENT_BYTES_MAX, RECENT_GROUPS_MAX};

/// The newest groups. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct RecentGroups(Arc<Mutex<Recent>>);

#[derive(Debug, Default)]
struct Recent {
    groups: VecDeque<Arc<Group>>,
    bytes: usize,
}

impl RecentGroups {
    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The group at `place`, if it is at hand.
    pub(crate) fn find(&self, place: &GroupPlace) -> Option<Arc<Group>> {
        self.recent().groups.iter().rev().find(|group| group.place == *place).map(Arc::clone)
    }

    /// Keeps a group in the place of the oldest ones.
    pub(crate) fn keep(&self, group: Group) -> Arc<Group> {
        let group = Arc::new(group);
        let mut recent = self.recent();
        recent.bytes += length(&group);
        recent.groups.push_back(Arc::clone(&group));
        while recent.groups.len() > RECENT_GROUPS_MAX || recent.bytes > RECENT_BYTES_MAX {
            let Some(oldest) = recent.groups.pop_front() else { break };
            recent.bytes -= length(&oldest);
        }
        group
    }
}

fn length(group: &Group) -> usize {
    group.place.length as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(first: u64, length: u32) -> Group {
        let place = GroupPlace { segment: 0, offset: 0, length, first, count: 1 };
        Group { place, previous: Vec::new(), manifest: Vec::new(), events: vec![first.to_le_bytes().to_vec()] }
    }

    #[test]
    fn the_newest_are_at_hand_within_the_bounds() {
        let recent = RecentGroups::default();
        for first in 0..2 * RECENT_GROUPS_MAX as u64 {
            recent.keep(group(first, 1));
        }
        let kept = |first| recent.find(&group(first, 1).place).is_some();
        assert!(kept(2 * RECENT_GROUPS_MAX as u64 - 1) && kept(RECENT_GROUPS_MAX as u64));
        assert!(!kept(RECENT_GROUPS_MAX as u64 - 1));
        let large = u32::try_from(RECENT_BYTES_MAX).unwrap();
        recent.keep(group(1_000, large));
        assert!(!kept(2 * RECENT_GROUPS_MAX as u64 - 1));
        assert!(recent.find(&group(1_000, large).place).is_some());
        recent.keep(group(1_001, large + 1));
        assert_eq!(recent.recent().groups.len(), 0, "what is larger than all of it is not kept");
    }
}
