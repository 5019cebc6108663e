//! The verdict: one sentence, with what it rests on.

use core::fmt;

use super::finding::Finding;

/// How much was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Journals.
    pub journals: usize,
    /// Their segments.
    pub segments: usize,
    /// Their groups.
    pub groups: usize,
    /// Their events.
    pub events: usize,
    /// Checkpoints whose signature and root were verified, in journals, files and receipts.
    pub checkpoints: usize,
    /// Commands of clients that were answered with success.
    pub done: usize,
    /// … with a refusal.
    pub refused: usize,
    /// … not at all.
    pub unknown: usize,
    /// Messages that were drafted.
    pub messages: usize,
    /// Envelopes that the hub accepted.
    pub accepted: usize,
    /// … of which their recipient consigned.
    pub consigned: usize,
    /// … which ended otherwise, with signed evidence.
    pub negative: usize,
    /// Messages that were handed over.
    pub handed_over: usize,
    /// Receipts that clients were shown.
    pub receipts_shown: usize,
    /// Receipts that peers noted.
    pub receipts_noted: usize,
}

/// What came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// What it rests on.
    pub counts: Counts,
    /// What is wrong; nothing if all invariants hold.
    pub findings: Vec<Finding>,
}

/// Findings that the sentence names.
const NAMED_MAX: usize = 12;

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { journals, segments, groups, events, checkpoints, .. } = &self.counts;
        let Counts { done, refused, unknown, messages, accepted, consigned, negative, .. } = &self.counts;
        let Counts { handed_over, receipts_shown, receipts_noted, .. } = &self.counts;
        match self.findings.len() {
            0 => f.write_str("I1 to I6 hold over ")?,
            count => write!(f, "{count} findings over ")?,
        }
        write!(
            f,
            "{journals} journals ({segments} segments, {groups} groups, {events} events, {checkpoints} checkpoints \
             verified) and {} commands ({done} done, {refused} refused, {unknown} unanswered): {messages} messages, \
             {accepted} envelopes accepted, {consigned} consigned once, {negative} ended with a signed negative, \
             {handed_over} handed over; {receipts_shown} receipts shown to clients and {receipts_noted} noted by peers \
             all stand",
            done + refused + unknown,
        )?;
        if self.findings.is_empty() {
            return f.write_str(".");
        }
        f.write_str(", but for:")?;
        for finding in self.findings.iter().take(NAMED_MAX) {
            write!(f, "\n  {finding}")?;
        }
        let more = self.findings.len().saturating_sub(NAMED_MAX);
        if more > 0 { write!(f, "\n  and {more} more") } else { Ok(()) }
    }
}
