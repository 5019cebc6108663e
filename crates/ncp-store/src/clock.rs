//! Whether the wall clock is believed. Expiry and the refusal of what has expired are signed and final, so a wrong clock must
//! cause neither: it only delays them.
//!
//! The wall clock is believed while it runs with the monotonic one, and after a start once the journal's newest event says
//! the same; else others have to say so, see [`Voices`]. Events that are decided meanwhile carry a time that nobody vouches
//! for: the file [`DOUBTED`] says so to the next start, which then does not take the newest event's word. It is written
//! within a second after the doubt began; what a crash within that second leaves is an event that counts.

use core::time::Duration;
use std::io;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use ncp_protocol::event::Event;
use ncp_protocol::ids::{ParticipantId, UnixMillis};
use ncp_protocol::limits::CLOCK_SKEW_MAX_MS;

use crate::disk::{Disk, RealDisk, exists, replace_file};
use crate::limits::{CLOCK_DRIFT_OVER, CLOCK_STEP_MAX};
use crate::reader::Reader;

/// File in the data folder that is there while the wall clock is not believed. Removing it while the daemon is stopped is an
/// operator's word that the clock is right.
pub const DOUBTED: &str = "clock-doubted";
const DOUBTED_TEXT: &str = "The wall clock was not believed when this was written: compare it with a third clock. \
                            Whoever removes this file says that it is right.\n";

/// Both clocks at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// The wall clock.
    pub wall: UnixMillis,
    /// The monotonic clock, since any fixed point.
    pub steady: Duration,
}

impl Reading {
    /// Whether both clocks ran together from this reading to another.
    fn in_step(&self, later: &Self) -> bool {
        let elapsed = later.steady.saturating_sub(self.steady).as_millis();
        let expected = self.wall.plus_millis(u64::try_from(elapsed).unwrap_or(u64::MAX));
        u128::from(later.wall.0.abs_diff(expected.0)) <= CLOCK_STEP_MAX.as_millis()
    }
}

/// Whose word confirms a wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Voices {
    /// The hub's alone, at a node: what it could have expire there it could as well refuse.
    Hub,
    /// Two participants', at the hub: one may have an interest in what expires.
    TwoParticipants,
}

/// What the journal says about the wall clock at a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Newest {
    /// It has no events.
    None,
    /// Its newest event was decided then.
    Event(UnixMillis),
    /// Its newest event cannot be read, or was decided under a clock that was not believed.
    Doubtful,
}

/// Whether the wall clock is believed. Pure: readings come as values.
#[derive(Debug)]
pub struct Belief {
    voices: Voices,
    base: Reading,
    confirmed: bool,
    // The first of two who said that a wall clock that is not believed is right, and when.
    first: Option<(ParticipantId, Reading)>,
}

impl Belief {
    /// Begins at a start.
    #[must_use]
    pub fn new(voices: Voices, first: Reading, newest: Newest) -> Self {
        let confirmed = match newest {
            Newest::None => true,
            Newest::Event(time) => is_near(time, first.wall),
            Newest::Doubtful => false,
        };
        Self { voices, base: first, confirmed, first: None }
    }

    /// A peer signed this time just now. What is confirmed is the wall clock as it stands, also after a step.
    pub fn heard(&mut self, peer: ParticipantId, time: UnixMillis, reading: Reading) {
        if !is_near(time, reading.wall) || self.holds(reading) {
            return;
        }
        let enough = match (self.voices, self.first) {
            (Voices::Hub, _) => peer == ParticipantId::HUB,
            (Voices::TwoParticipants, Some((first, then))) if then.in_step(&reading) => first != peer,
            (Voices::TwoParticipants, _) => {
                self.first = Some((peer, reading));
                false
            }
        };
        if enough {
            *self = Self { voices: self.voices, base: reading, confirmed: true, first: None };
        }
    }

    /// Whether the wall clock is believed now. Slow corrections are followed, [`CLOCK_STEP_MAX`] in each
    /// [`CLOCK_DRIFT_OVER`]; a step is not.
    pub fn holds(&mut self, reading: Reading) -> bool {
        let in_step = self.base.in_step(&reading);
        if in_step && reading.steady.saturating_sub(self.base.steady) >= CLOCK_DRIFT_OVER {
            self.base = reading;
        }
        in_step && self.confirmed
    }
}

fn is_near(time: UnixMillis, wall: UnixMillis) -> bool {
    time.0.abs_diff(wall.0) <= CLOCK_SKEW_MAX_MS
}

/// The daemon's belief, shared, and what the next start has to know of it.
#[derive(Debug)]
pub struct WallClock {
    begun: Instant,
    belief: Mutex<Belief>,
    disk: RealDisk,
    // Whether the file is there.
    doubted: Mutex<bool>,
}

impl WallClock {
    /// Begins now, when the wall clock says `wall`. Blocks on the disk.
    ///
    /// # Errors
    /// If the folder cannot be listed. A file that cannot be written, on a full disk above all, is tried again by
    /// [`WallClock::remember`]: where it finds no room, no event does.
    pub fn open(disk: RealDisk, reader: &Reader, voices: Voices, wall: UnixMillis) -> io::Result<Self> {
        let doubted = exists(&disk, Path::new(DOUBTED))?;
        let newest = if doubted { Newest::Doubtful } else { newest(reader) };
        let first = Reading { wall, steady: Duration::ZERO };
        let belief = Mutex::new(Belief::new(voices, first, newest));
        let clock = Self { begun: Instant::now(), belief, disk, doubted: Mutex::new(doubted) };
        // Before anything is decided by it.
        if let Err(error) = clock.remember(clock.holds(wall)) {
            tracing::warn!(%error, "the doubt about the wall clock cannot be written down now");
        }
        Ok(clock)
    }

    /// A peer signed this time just now, when the wall clock said `wall`.
    pub fn heard(&self, peer: ParticipantId, time: UnixMillis, wall: UnixMillis) {
        let reading = self.reading(wall);
        lock(&self.belief).heard(peer, time, reading);
    }

    /// Whether the wall clock, which says `wall`, is believed.
    #[must_use]
    pub fn holds(&self, wall: UnixMillis) -> bool {
        let reading = self.reading(wall);
        lock(&self.belief).holds(reading)
    }

    /// Makes durable whether the wall clock is believed, if that has changed. Blocks on the disk.
    ///
    /// # Errors
    /// As the disk has it. The next call tries again.
    pub fn remember(&self, believed: bool) -> io::Result<()> {
        let mut doubted = lock(&self.doubted);
        if *doubted != believed {
            return Ok(());
        }
        if believed {
            // A crash may bring the name back: then the next start waits for others, as it would have after a longer stop.
            self.disk.remove(Path::new(DOUBTED))?;
        } else {
            replace_file(&self.disk, Path::new(DOUBTED), DOUBTED_TEXT.as_bytes())?;
        }
        *doubted = !believed;
        Ok(())
    }

    fn reading(&self, wall: UnixMillis) -> Reading {
        Reading { wall, steady: self.begun.elapsed() }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// When the newest event of the journal was decided.
fn newest(reader: &Reader) -> Newest {
    let Some(last) = reader.size().checked_sub(1) else { return Newest::None };
    let event = reader.events(last, 1).ok().and_then(|mut events| events.pop());
    let event = event.and_then(|event| Event::decode(&event.bytes).ok());
    event.map_or(Newest::Doubtful, |event| Newest::Event(event.time))
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: UnixMillis = UnixMillis(1_800_000_000_000);
    const DAY_MS: u64 = 24 * 3_600_000;
    const YEAR_MS: u64 = 365 * DAY_MS;
    const BOTH: [Voices; 2] = [Voices::Hub, Voices::TwoParticipants];

    /// The wall clock `ahead_ms` off (negative: behind) after `steady_s` seconds.
    fn reading(ahead_ms: i64, steady_s: u64) -> Reading {
        let wall = START.plus_millis(steady_s * 1_000);
        Reading { wall: UnixMillis(wall.0.saturating_add_signed(ahead_ms)), steady: Duration::from_secs(steady_s) }
    }

    fn peer(name: &str) -> ParticipantId {
        name.parse().unwrap()
    }

    /// Everybody whose word counts says this time.
    fn all_say(belief: &mut Belief, time: UnixMillis, reading: Reading) {
        for name in ["HUB", "XA", "XB"] {
            belief.heard(peer(name), time, reading);
        }
    }

    fn wrong_clocks() -> impl Iterator<Item = (Voices, i64)> {
        let off = [61_000, DAY_MS, 10 * YEAR_MS].map(u64::cast_signed);
        BOTH.into_iter().flat_map(move |voices| off.into_iter().flat_map(move |ms| [(voices, ms), (voices, -ms)]))
    }

    #[test]
    fn clocks_that_run_together_are_believed_and_small_corrections_followed() {
        let mut belief = Belief::new(Voices::Hub, reading(0, 0), Newest::Event(START));
        assert!(belief.holds(reading(0, 1)));
        for hour in 1..=24u32 {
            // The wall clock is slewed by half a minute an hour.
            assert!(belief.holds(reading(i64::from(hour) * 30_000, u64::from(hour) * 3_600)));
        }
    }

    #[test]
    fn a_clock_that_is_driven_away_slowly_is_not_followed() {
        let mut belief = Belief::new(Voices::Hub, reading(0, 0), Newest::Event(START));
        // Each second half a second too much: after two minutes it is a minute off.
        let believed =
            (1..=600u32).take_while(|second| belief.holds(reading(i64::from(*second) * 500, u64::from(*second))));
        assert_eq!(believed.count(), 120);
    }

    #[test]
    fn a_step_is_not_believed_until_it_is_taken_back_or_confirmed() {
        for (voices, step) in wrong_clocks() {
            let mut belief = Belief::new(voices, reading(0, 0), Newest::None);
            assert!(!belief.holds(reading(step, 1)));
            assert!(!belief.holds(reading(step, 3_600)), "time alone heals nothing");
            assert!(belief.holds(reading(0, 3_600)));
            let stepped = reading(step, 3_602);
            let other = UnixMillis(stepped.wall.0 + 2 * CLOCK_SKEW_MAX_MS);
            all_say(&mut belief, other, stepped);
            assert!(!belief.holds(stepped), "whoever says otherwise confirms nothing");
            all_say(&mut belief, stepped.wall, stepped);
            assert!(belief.holds(stepped));
        }
    }

    #[test]
    fn a_start_under_a_wrong_clock_believes_it_only_once_confirmed() {
        for (voices, off) in wrong_clocks().filter(|(_, off)| off.unsigned_abs() >= DAY_MS) {
            for newest in [Newest::Event(START), Newest::Doubtful] {
                let mut belief = Belief::new(voices, reading(off, 0), newest);
                assert!(!belief.holds(reading(off, 0)));
                all_say(&mut belief, START, reading(off, 1));
                assert!(!belief.holds(reading(off, 3_600)));
                // Somebody puts it right.
                all_say(&mut belief, reading(0, 3_601).wall, reading(0, 3_601));
                assert!(belief.holds(reading(0, 3_602)));
            }
        }
    }

    #[test]
    fn one_voice_is_the_hubs_at_a_node_and_none_at_the_hub() {
        let stepped = reading(DAY_MS.cast_signed(), 1);
        let mut node = Belief::new(Voices::Hub, reading(0, 0), Newest::None);
        for _ in 0..3 {
            node.heard(peer("XA"), stepped.wall, stepped);
        }
        assert!(!node.holds(stepped));
        node.heard(ParticipantId::HUB, stepped.wall, stepped);
        assert!(node.holds(stepped));

        let mut hub = Belief::new(Voices::TwoParticipants, reading(0, 0), Newest::None);
        for _ in 0..3 {
            hub.heard(peer("XA"), stepped.wall, stepped);
            assert!(!hub.holds(stepped), "one participant is not enough, however often it says so");
        }
        hub.heard(peer("XB"), stepped.wall, stepped);
        assert!(hub.holds(stepped));
    }

    #[test]
    fn two_peers_that_confirm_different_clocks_confirm_none() {
        let mut belief = Belief::new(Voices::TwoParticipants, reading(0, 0), Newest::Event(START));
        let (one, other) = (reading(YEAR_MS.cast_signed(), 1), reading(2 * YEAR_MS.cast_signed(), 2));
        belief.heard(peer("XA"), one.wall, one);
        belief.heard(peer("XB"), other.wall, other);
        assert!(!belief.holds(other));
        belief.heard(peer("XA"), other.wall, other);
        assert!(belief.holds(other));
    }
}
