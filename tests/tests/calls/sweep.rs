//! Which calls are hit how, and what a daemon may do then.

use core::fmt;
use std::collections::BTreeMap;
use std::env;
use std::fmt::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::sync::Arc;

use e2e::calls::{Call, Case, Fault, Image, Kind};

use crate::life::{Life, Role, Seen, World};

/// A daemon, what happens to it, and what the call was about in a life without a fault.
#[derive(Debug, Clone)]
pub(crate) struct Hit {
    pub(crate) role: Role,
    pub(crate) case: Case,
    pub(crate) path: String,
}

impl fmt::Display for Hit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.role, self.case)
    }
}

impl Hit {
    /// Whether a run of the gate hits it too, whatever chance picks: a sync of what no event rests on, and the room that is
    /// made behind the reply to an erasure.
    pub(crate) fn is_always_made(&self) -> bool {
        let (fault, path) = (self.case.fault, self.path.as_str());
        self.case.image == Image::Kept
            && fault == Fault::Io
            && match self.case.kind {
                Kind::Sync => path == "data/held.new" || path == "data/network/statements.new",
                Kind::Create => path == "data/spool/erasable/00000001.seg",
                Kind::Write | Kind::Rename | Kind::Unlink | Kind::Truncate | Kind::Send => false,
            }
    }
}

/// Every way to hit a call of a kind.
pub(crate) fn ways(kind: Kind) -> Vec<(Fault, Image)> {
    let killed = [Image::Kept, Image::Lost, Image::Names, Image::Bytes].map(|image| (Fault::Kill, image));
    let others: &[(Fault, Image)] = match kind {
        Kind::Write => &[
            (Fault::Torn, Image::Kept),
            (Fault::Short, Image::Kept),
            (Fault::Io, Image::Kept),
            (Fault::Full, Image::Kept),
        ],
        Kind::Sync => &[
            (Fault::After, Image::Lost),
            (Fault::Io, Image::Kept),
            (Fault::Io, Image::Lost),
            (Fault::Full, Image::Kept),
        ],
        Kind::Rename | Kind::Unlink | Kind::Truncate | Kind::Create => {
            &[(Fault::Io, Image::Kept), (Fault::Full, Image::Kept)]
        }
        // What has left must rest on what is durable.
        Kind::Send => return vec![(Fault::After, Image::Lost), (Fault::After, Image::Names), (Fault::Io, Image::Kept)],
    };
    killed.into_iter().chain(others.iter().copied()).collect()
}

/// Every hit of the calls of a life. Of a file that is filled with zeros the first, the middle and the last write.
pub(crate) fn hits(role: Role, calls: &[Call]) -> Vec<Hit> {
    let is_zeros = |call: &Call| call.kind == Kind::Write && call.result == "65536" && call.path.ends_with(".seg");
    let is_zeros = |call: &Call| is_zeros(call) || call.kind == Kind::Write && call.path.ends_with(".seg.new");
    let mut zeros: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
    for call in calls.iter().filter(|call| is_zeros(call)) {
        zeros.entry(&call.path).or_default().push(call.number);
    }
    let mut hits = Vec::new();
    for call in calls {
        if let Some(run) = zeros.get(call.path.as_str())
            && is_zeros(call)
            && ![run[0], run[run.len() / 2], run[run.len() - 1]].contains(&call.number)
        {
            continue;
        }
        for (fault, image) in ways(call.kind) {
            let case = Case { kind: call.kind, number: call.number, fault, image };
            hits.push(Hit { role, case, path: call.path.clone() });
        }
    }
    hits
}

/// What this run is to hit, of all: what `NCP_CALLS` says, or about as many as the gate has time for, others at each run.
pub(crate) fn in_turn<T: Clone + fmt::Display>(all: &[T], in_gate: usize, of: &str) -> Vec<T> {
    let asked = env::var("NCP_CALLS").unwrap_or_default();
    let (stride, offset) = asked.split_once('+').unwrap_or((&asked, "0"));
    let (stride, offset) = match (stride.parse(), offset.parse()) {
        (Ok(stride), Ok(offset)) => (stride, offset),
        _ if asked.is_empty() => {
            let stride = (all.len() / in_gate).max(1);
            (stride, usize::from(u16::from_le_bytes(e2e::random())) % stride)
        }
        _ => {
            let named = |hit: &&T| format!("{of}{hit}").starts_with(&asked);
            return all.iter().filter(named).cloned().collect();
        }
    };
    eprintln!("NCP_CALLS={stride}+{offset} repeats this, of {} hits", all.len());
    all.iter().skip(offset).step_by(stride).cloned().collect()
}

/// What came of hits, by role, kind and way.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    rows: BTreeMap<(Role, Kind, Fault, Image), Row>,
    failures: Vec<String>,
    notes: BTreeMap<String, usize>,
}

#[derive(Debug, Default)]
struct Row {
    hit: usize,
    missed: usize,
    ended: usize,
}

impl Tally {
    /// Lives a life with a hit and judges it.
    pub(crate) async fn add(&mut self, world: &Arc<World>, hit: &Hit) {
        let Hit { role, case, .. } = *hit;
        let own = Arc::clone(world);
        let lived = tokio::spawn(async move { Life::live(&own, role, Some(case)).await }).await;
        let row = self.rows.entry((role, case.kind, case.fault, case.image)).or_default();
        match lived {
            Err(error) => {
                row.hit += 1;
                let panic = error.try_into_panic().expect("a life ends or fails");
                let text = panic.downcast_ref::<String>().cloned();
                let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
                self.fail(format!("{hit}: {}", text.unwrap_or_default()));
            }
            Ok(seen) => match judge(case, &seen) {
                Ok(None) => row.missed += 1,
                Ok(Some(path)) => {
                    row.hit += 1;
                    row.ended += usize::from(seen.early);
                    if matches!(case.fault, Fault::Io | Fault::Full) {
                        let note = format!("{role:?} {:?} {:?} {path}: {}", case.kind, case.fault, end(&seen));
                        *self.notes.entry(note).or_default() += 1;
                    }
                }
                Err(text) => {
                    row.hit += 1;
                    self.fail(format!("{hit}: {text}\n{}", seen.ended.log));
                }
            },
        }
    }

    /// Told at once: a whole sweep takes hours.
    fn fail(&mut self, text: String) {
        eprintln!("FAILED {text}");
        self.failures.push(text);
    }

    pub(crate) fn join(&mut self, other: Self) {
        for (key, row) in other.rows {
            let own = self.rows.entry(key).or_default();
            own.hit += row.hit;
            own.missed += row.missed;
            own.ended += row.ended;
        }
        self.failures.extend(other.failures);
        for (note, count) in other.notes {
            *self.notes.entry(note).or_default() += count;
        }
    }

    pub(crate) fn failures(&self) -> &[String] {
        &self.failures
    }

    /// A table of it.
    pub(crate) fn table(&self) -> String {
        let mut text = String::from("daemon      kind      fault  stands    hit  ended  not reached\n");
        let mut sum = (0, 0);
        for ((role, kind, fault, image), row) in &self.rows {
            let (role, kind, fault, image) =
                (format!("{role:?}"), format!("{kind:?}"), format!("{fault:?}"), format!("{image:?}"));
            let _ = writeln!(
                text,
                "{role:<11} {kind:<9} {fault:<6} {image:<6} {:>6} {:>6} {:>6}",
                row.hit, row.ended, row.missed
            );
            sum = (sum.0 + row.hit, sum.1 + row.missed);
        }
        let _ = writeln!(
            text,
            "{} lives hit, {} where the call did not come, {} failed",
            sum.0,
            sum.1,
            self.failures.len()
        );
        text
    }

    pub(crate) fn notes(&self) -> String {
        self.notes.iter().map(|(note, count)| format!("{count:>4} {note}\n")).collect()
    }
}

/// How a daemon that a call failed ended, in its own words.
fn end(seen: &Seen) -> String {
    if !seen.early && seen.ended.status.success() {
        return "went on".to_owned();
    }
    let words = seen.ended.log.rsplit_once("error[NCP-").and_then(|(_, words)| words.split("  try").next());
    format!("ended {:?} {}", seen.ended.code(), words.unwrap_or_default().replace('\n', " "))
}

/// The path of the call that was hit, `None` if it did not come.
fn judge(case: Case, seen: &Seen) -> Result<Option<String>, String> {
    let hit = |call: &&Call| call.kind == case.kind && call.number == case.number;
    let Some((place, call)) = seen.calls.iter().enumerate().find(|(_, call)| hit(call)) else {
        return if seen.early { Err("it ended, but not at the call".to_owned()) } else { Ok(None) };
    };
    let status = seen.ended.status;
    if seen.ended.log.contains("panicked") {
        return Err("it panicked".to_owned());
    }
    if case.fault.kills() {
        return if status.signal() == Some(9) { Ok(Some(call.path.clone())) } else { Err(format!("{status}")) };
    }
    if seen.early && status.success() || status.signal().is_some() {
        return Err(format!("it ended: {status}"));
    }
    // Whatever becomes of the index: nothing rests on it, and a start takes it for what its sums say.
    let rests = !call.path.starts_with("data/index");
    match case.fault {
        Fault::Short if !status.success() => Err(format!("a short write is no failure: {status}")),
        Fault::Io if case.kind == Kind::Sync && rests => {
            let again =
                seen.calls[place + 1..].iter().find(|later| later.kind == Kind::Sync && later.inode == call.inode);
            match again {
                Some(again) => Err(format!("the failed sync of {} is tried again: sync {}", call.path, again.number)),
                None if status.success() => Err(format!("it goes on after a failed sync of {}", call.path)),
                None => Ok(Some(call.path.clone())),
            }
        }
        Fault::Kill | Fault::After | Fault::Torn | Fault::Short | Fault::Io | Fault::Full => {
            Ok(Some(call.path.clone()))
        }
    }
}
