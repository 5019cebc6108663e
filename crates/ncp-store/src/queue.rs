//! The committer's fair queue: pure, so that fairness is a unit test.
//!
//! Deficit round robin (Shreedhar and Varghese, 1995) by bytes over sources, once for urgent and once for routine
//! commands: however much one source sends, every other moves [`QUEUE_QUANTUM_BYTES`] a round. Urgent commands go first,
//! but after [`URGENT_STREAK_BYTES`] of them one routine command does. Commands of one source and urgency keep their order.

use std::collections::{BTreeMap, VecDeque};

use ncp_protocol::ids::ParticipantId;

use crate::limits::{QUEUE_COMMANDS_PER_SOURCE_MAX, QUEUE_QUANTUM_BYTES, QUEUE_WEIGHT_MIN, URGENT_STREAK_BYTES};

/// Who asks: those who share a source share its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The daemon itself: timers and starts.
    Daemon,
    /// The local API.
    Local,
    /// The other end of a link.
    Peer(ParticipantId),
}

/// Which commands go first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// In turn.
    Routine,
    /// First, as long as routine commands do not starve.
    Urgent,
}

/// Commands that wait, with the order in which they go.
#[derive(Debug)]
pub struct FairQueue<T> {
    urgent: Lane<T>,
    routine: Lane<T>,
    // Urgent bytes since the last routine command, while routine commands waited.
    streak: usize,
}

impl<T> Default for FairQueue<T> {
    fn default() -> Self {
        Self { urgent: Lane::default(), routine: Lane::default(), streak: 0 }
    }
}

impl<T> FairQueue<T> {
    /// Adds a command of `weight` bytes.
    ///
    /// # Errors
    /// The command itself if its source has too many waiting already.
    pub fn push(&mut self, source: Source, urgency: Urgency, weight: usize, command: T) -> Result<(), T> {
        let lane = match urgency {
            Urgency::Urgent => &mut self.urgent,
            Urgency::Routine => &mut self.routine,
        };
        lane.push(source, weight.max(QUEUE_WEIGHT_MIN), command)
    }

    /// Takes the command whose turn it is.
    pub fn pop(&mut self) -> Option<T> {
        let routine_waits = self.routine.len > 0;
        if self.urgent.len == 0 || (routine_waits && self.streak >= URGENT_STREAK_BYTES) {
            self.streak = 0;
            return self.routine.pop().map(|(_, command)| command);
        }
        let (weight, command) = self.urgent.pop()?;
        self.streak = if routine_waits { self.streak.saturating_add(weight) } else { 0 };
        Some(command)
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.urgent.len + self.routine.len
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[derive(Debug)]
struct Lane<T> {
    sources: BTreeMap<Source, Waiting<T>>,
    // Sources that wait; the first has the turn.
    round: VecDeque<Source>,
    // Commands of all of them.
    len: usize,
}

#[derive(Debug)]
struct Waiting<T> {
    commands: VecDeque<(usize, T)>,
    // Bytes that the source may still send in this turn.
    deficit: usize,
}

impl<T> Default for Lane<T> {
    fn default() -> Self {
        Self { sources: BTreeMap::new(), round: VecDeque::new(), len: 0 }
    }
}

impl<T> Lane<T> {
    fn push(&mut self, source: Source, weight: usize, command: T) -> Result<(), T> {
        let waiting = self.sources.entry(source).or_insert_with(|| {
            self.round.push_back(source);
            Waiting { commands: VecDeque::new(), deficit: QUEUE_QUANTUM_BYTES }
        });
        if waiting.commands.len() >= QUEUE_COMMANDS_PER_SOURCE_MAX {
            return Err(command);
        }
        waiting.commands.push_back((weight, command));
        self.len += 1;
        Ok(())
    }

    fn pop(&mut self) -> Option<(usize, T)> {
        loop {
            let source = *self.round.front()?;
            let Some(waiting) = self.sources.get_mut(&source) else {
                unreachable!("a source in the round waits");
            };
            match waiting.commands.front() {
                Some((weight, _)) if *weight > waiting.deficit => {
                    // The turn passes; what is left of the deficit stays, so that a heavy command gets through in time.
                    waiting.deficit = waiting.deficit.saturating_add(QUEUE_QUANTUM_BYTES);
                    self.round.rotate_left(1);
                }
                Some(_) | None => return self.take(source),
            }
        }
    }

    fn take(&mut self, source: Source) -> Option<(usize, T)> {
        let waiting = self.sources.get_mut(&source)?;
        let (weight, command) = waiting.commands.pop_front()?;
        self.len -= 1;
        waiting.deficit -= weight;
        if waiting.commands.is_empty() {
            // An idle source saves nothing up.
            self.sources.remove(&source);
            self.round.pop_front();
        }
        Some((weight, command))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Source = Source::Local;
    const B: Source = Source::Daemon;

    fn peer(name: &str) -> Source {
        Source::Peer(name.parse().unwrap())
    }

    fn drain<T>(queue: &mut FairQueue<T>) -> Vec<T> {
        core::iter::from_fn(|| queue.pop()).collect()
    }

    #[test]
    fn one_source_keeps_its_order() {
        let mut queue = FairQueue::default();
        for number in 0..100 {
            queue.push(A, Urgency::Routine, number * 1_000, number).unwrap();
        }
        assert_eq!(drain(&mut queue), (0..100).collect::<Vec<_>>());
        assert!(queue.is_empty());
    }

    #[test]
    fn flood_delays_another_source_by_a_turn_only() {
        let mut queue = FairQueue::default();
        let weight = QUEUE_QUANTUM_BYTES / 16;
        for _ in 0..500 {
            queue.push(A, Urgency::Routine, weight, A).unwrap();
        }
        queue.push(peer("XA"), Urgency::Routine, weight, peer("XA")).unwrap();
        let order = drain(&mut queue);
        assert_eq!(order.iter().position(|source| *source == peer("XA")), Some(16));
        assert_eq!(order.len(), 501);
    }

    #[test]
    fn bytes_are_shared_equally_whatever_the_weight_of_commands() {
        let mut queue = FairQueue::default();
        let (light, heavy) = (1_000, QUEUE_QUANTUM_BYTES * 3 / 2);
        for _ in 0..QUEUE_COMMANDS_PER_SOURCE_MAX {
            queue.push(A, Urgency::Routine, light, (A, light)).unwrap();
            queue.push(B, Urgency::Routine, heavy, (B, heavy)).unwrap();
        }
        let (mut a, mut b) = (0usize, 0usize);
        // As long as both wait.
        while a < light * (QUEUE_COMMANDS_PER_SOURCE_MAX - 1) {
            let (source, weight) = queue.pop().unwrap();
            *(if source == A { &mut a } else { &mut b }) += weight;
            assert!(a.abs_diff(b) <= 2 * QUEUE_QUANTUM_BYTES + heavy, "{a} against {b}");
        }
    }

    #[test]
    fn idle_source_saves_nothing_up() {
        let mut queue = FairQueue::default();
        queue.push(A, Urgency::Routine, QUEUE_QUANTUM_BYTES * 10, 0).unwrap();
        assert_eq!(drain(&mut queue), [0]);
        let weight = QUEUE_QUANTUM_BYTES / 2;
        for number in 1..=6 {
            queue.push(A, Urgency::Routine, weight, number).unwrap();
            queue.push(B, Urgency::Routine, weight, number * 10).unwrap();
        }
        assert_eq!(drain(&mut queue)[..6], [1, 2, 10, 20, 3, 4]);
    }

    #[test]
    fn urgent_goes_first_without_starving_routine() {
        let mut queue = FairQueue::default();
        let weight = URGENT_STREAK_BYTES / 8;
        for _ in 0..100 {
            queue.push(A, Urgency::Routine, weight, Urgency::Routine).unwrap();
            queue.push(B, Urgency::Urgent, weight, Urgency::Urgent).unwrap();
        }
        let order = drain(&mut queue);
        assert_eq!(order[..9].iter().filter(|urgency| **urgency == Urgency::Urgent).count(), 8);
        for window in order.windows(9).take(80) {
            assert_eq!(window.iter().filter(|urgency| **urgency == Urgency::Routine).count(), 1);
        }
        assert_eq!(order.len(), 200);
    }

    #[test]
    fn urgent_alone_leaves_no_debt_to_routine_that_comes_later() {
        let mut queue = FairQueue::default();
        for number in 0..20 {
            queue.push(A, Urgency::Urgent, URGENT_STREAK_BYTES, number).unwrap();
        }
        assert_eq!((0..10).map_while(|_| queue.pop()).sum::<i32>(), 45);
        queue.push(B, Urgency::Routine, 1, 99).unwrap();
        assert_eq!([queue.pop(), queue.pop(), queue.pop()], [Some(10), Some(99), Some(11)]);
    }

    #[test]
    fn full_source_gets_its_command_back_and_others_do_not_notice() {
        let mut queue = FairQueue::default();
        for number in 0..QUEUE_COMMANDS_PER_SOURCE_MAX {
            queue.push(A, Urgency::Routine, 1, number).unwrap();
        }
        assert_eq!(queue.push(A, Urgency::Routine, 1, 7), Err(7));
        assert_eq!(queue.push(B, Urgency::Routine, 1, 8), Ok(()));
        assert_eq!(queue.push(A, Urgency::Urgent, 1, 9), Ok(()), "urgent commands have room of their own");
    }
}
