//! SIGKILL at any moment: the hub and three nodes under load, each killed again and again, also while it starts, and started
//! at once. At the end all queues drain and the checker reads every journal.
//!
//! `NCP_KILLS` says how many kills (60), `NCP_SEED` which (random, printed). A seed decides what is sent, who is killed, and
//! after how long; what the kill hits also depends on the machine.
#![cfg(test)]

use std::io::Write as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use e2e::chance::{Chance, number, seed};
use e2e::load::{DRAIN, Load};
use e2e::{Network, Plan, id};

const NODES: [&str; 3] = ["XA", "XB", "XC"];
const HUB: &str = "HUB";
/// Messages that may be begun for each kill.
const MESSAGES_PER_KILL: u64 = 6;
/// A daemon lives no longer than this between two kills, mostly much shorter; the hub, whom all wait for, twice as long.
const LIFE_MAX: Duration = Duration::from_secs(3);
/// Most kills come right behind a word that the daemon gave: an answer, or a receipt that somebody saw. It has so long to give one …
const WORD_MAX: Duration = Duration::from_secs(2);
/// … and the kill comes within this time.
const BEHIND_WORD_MAX: Duration = Duration::from_millis(30);
/// A start that is to be interrupted is killed within this time.
const START_MAX: Duration = Duration::from_millis(250);

/// Who kills how much.
struct Killer {
    network: Arc<Network>,
    load: Arc<Load>,
    wanted: u64,
    kills: AtomicU64,
    kills_in_starts: AtomicU64,
    // Says that a thread failed, so that the others end.
    failed: AtomicBool,
    moment: (Mutex<()>, Condvar),
}

impl Killer {
    fn goes_on(&self) -> bool {
        self.kills.load(Ordering::Relaxed) < self.wanted && !self.failed.load(Ordering::Relaxed)
    }

    fn counted(&self, count: &AtomicU64) {
        count.fetch_add(1, Ordering::Relaxed);
        self.load.allow(MESSAGES_PER_KILL);
    }

    /// Lets a random time pass, of every order of magnitude. Ends early if a thread failed.
    fn let_live(&self, chance: &mut Chance, longest: Duration) {
        let bound = [longest / 30, longest / 5, longest][usize::try_from(chance.below(3)).expect("small")];
        let guard = self.moment.0.lock().expect("nobody panics with it");
        let life = chance.within(bound);
        let _ = self.moment.1.wait_timeout_while(guard, life, |()| !self.failed.load(Ordering::Relaxed));
    }

    /// Kills one daemon again and again and starts it each time.
    fn pursue(&self, name: &'static str, mut chance: Chance) {
        let longest = if name == HUB { 2 * LIFE_MAX } else { LIFE_MAX };
        while self.goes_on() {
            self.let_live(&mut chance, longest);
            if !chance.one_in(3) {
                self.load.await_word(id(name), WORD_MAX);
                self.let_live(&mut chance, BEHIND_WORD_MAX);
            }
            self.kill(name);
            self.counted(&self.kills);
            let mut runs = false;
            while !runs && chance.one_in(3) {
                runs = self.start_within(name, chance.within(START_MAX));
                if !runs {
                    self.counted(&self.kills);
                    self.kills_in_starts.fetch_add(1, Ordering::Relaxed);
                }
            }
            if !runs {
                self.start(name);
            }
            self.load.tell();
        }
    }

    fn kill(&self, name: &str) {
        match name {
            HUB => self.network.relay().kill(),
            node => self.network.node(node).kill(),
        }
    }

    fn start_within(&self, name: &str, limit: Duration) -> bool {
        match name {
            HUB => self.network.relay().start_within(limit),
            node => self.network.node(node).start_within(limit),
        }
    }

    fn start(&self, name: &str) {
        match name {
            HUB => self.network.relay().start(),
            node => self.network.node(node).start(),
        }
    }
}

/// Tells the other threads if this one panics.
struct Alarm<'a>(&'a Killer);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.failed.store(true, Ordering::Relaxed);
            self.0.moment.1.notify_all();
        }
    }
}

fn say(words: &str) {
    let _ = writeln!(std::io::stderr(), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn daemons_killed_at_any_moment_under_load_lose_and_double_nothing() {
    let (wanted, seed) = (number("NCP_KILLS", || 60), seed());
    say(&format!("replay: NCP_SEED={seed} NCP_KILLS={wanted} cargo test -p e2e --test kills"));
    let begun = Instant::now();
    let mut chance = Chance::new(seed);
    let network = Arc::new(Plan::of(&NODES).start().await);
    let load = Load::new(Arc::clone(&network), &NODES);
    let killer = Arc::new(Killer {
        network: Arc::clone(&network),
        load: Arc::clone(&load),
        wanted,
        kills: AtomicU64::new(0),
        kills_in_starts: AtomicU64::new(0),
        failed: AtomicBool::new(false),
        moment: (Mutex::new(()), Condvar::new()),
    });
    load.allow(4 * MESSAGES_PER_KILL);
    let clients = tokio::spawn({
        let (load, chance) = (Arc::clone(&load), chance.branch());
        async move { load.run(chance).await }
    });
    let pursuers = [HUB, "XA", "XB", "XC"].map(|name| {
        let (killer, chance) = (Arc::clone(&killer), chance.branch());
        tokio::task::spawn_blocking(move || {
            let _alarm = Alarm(&killer);
            killer.pursue(name, chance);
        })
    });
    for pursuer in pursuers {
        pursuer.await.expect("each start succeeds");
    }
    let fire = begun.elapsed();
    load.finish();
    // Once more all at once, with whatever is on its way; nobody waits for a link that failed often.
    for name in [HUB, "XA", "XB", "XC"] {
        killer.kill(name);
        killer.counted(&killer.kills);
    }
    for name in [HUB, "XA", "XB", "XC"] {
        killer.start(name);
    }
    load.tell();
    let ended = tokio::time::timeout(DRAIN, clients).await.expect("clients come to an end");
    ended.expect("every client saw its messages end");
    let verdict = load.judge().await;
    say(&format!(
        "{} kills, {} of them during a start, under fire {:.1} s, all {:.1} s: {verdict}",
        killer.kills.load(Ordering::Relaxed),
        killer.kills_in_starts.load(Ordering::Relaxed),
        fire.as_secs_f32(),
        begun.elapsed().as_secs_f32(),
    ));
    assert!(verdict.findings.is_empty(), "NCP_SEED={seed}: {verdict}");
    assert!(verdict.counts.consigned >= 30 && verdict.counts.handed_over > 0, "there was load: {verdict}");
}
