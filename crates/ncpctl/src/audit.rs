//! A data folder verified from the outside: every log recomputed from the journal, every signed checkpoint compared, every
//! receipt judged. Neither the daemon nor its index is asked, and no private key is read.
//!
//! Everything up to the newest signed checkpoint is judged, so that it works beside a running daemon; what came after is
//! counted and no more. Nothing is changed. Whose keys sign follows from the files of joining: own entries for the logs,
//! pinned fingerprints and the membership statement for the receipts of others.

mod folder;
mod receipts;
mod walk;
mod words;

#[cfg(test)]
mod tests;

use std::path::Path;

use ncp_api::{ErrorCode, Fault};
use ncp_protocol::evidence::{self, VerifiedEvidence};
use ncp_protocol::ids::{LogName, LogOrigin};
use ncp_protocol::proof::LogProof;

pub(crate) use folder::Folder;
pub(crate) use walk::{Head, Leaf, Visitor, walk};
pub(crate) use words::{actor_words, change_words, claim_words};

use crate::error::Error;
use crate::style::number;
use receipts::{Gathered, Receipts};

/// What an audit found.
#[derive(Debug, Clone)]
pub(crate) struct Audited {
    /// The logs as recomputed.
    pub(crate) logs: Vec<Head>,
    /// Receipts of others that verify.
    pub(crate) receipts: u64,
    /// Events behind the newest signed checkpoint, which were not judged.
    pub(crate) newer: u64,
    /// What is wrong.
    pub(crate) findings: Vec<Fault>,
}

impl Audited {
    /// One line for people.
    pub(crate) fn in_words(&self) -> String {
        let log = |head: &Head| {
            let Head { log, size, checkpoints, .. } = head;
            format!("log {log}: {} events under {} checkpoints", number(*size), number(*checkpoints))
        };
        let mut parts: Vec<String> = self.logs.iter().map(log).collect();
        parts.push(format!("{} receipts verify", number(self.receipts)));
        if !self.findings.is_empty() {
            parts.push(format!("{} things are wrong", self.findings.len()));
        }
        parts.join("; ")
    }
}

/// Judges a data folder.
///
/// # Errors
/// If it cannot be read at all; what is wrong in it is part of what was found.
pub(crate) fn examine(path: &Path) -> Result<Audited, Error> {
    let folder = Folder::open(path)?;
    let mut gathered = Gathered::default();
    let walked = walk(&folder, &mut gathered)?;
    let mut findings = walked.findings;
    let receipts = Receipts::judge(&folder, &gathered)?;
    findings.extend(receipts.findings);
    Ok(Audited { logs: walked.heads, receipts: receipts.good, newer: walked.newer, findings })
}

/// Judges a data folder and fails with the first thing that is wrong.
///
/// # Errors
/// As [`examine`], and whatever it found.
pub(crate) fn verify(path: &Path) -> Result<Audited, Error> {
    let mut audited = examine(path)?;
    if audited.findings.is_empty() { Ok(audited) } else { Err(audited.findings.swap_remove(0).into()) }
}

/// Verifies one proof against the entries that a data folder leads to.
///
/// # Errors
/// [`ErrorCode::ReceiptBad`], [`ErrorCode::EvidenceKeyUnchained`], or that the folder cannot be read.
pub(crate) fn judge_proof(path: &Path, proof: &LogProof) -> Result<VerifiedEvidence, Error> {
    let folder = Folder::open(path)?;
    let mut gathered = Gathered::default();
    walk(&folder, &mut gathered)?;
    let claim = evidence::unverified_claim(proof).map_err(|error| bad_proof(&error))?;
    let key = receipts::log_key(&folder, &gathered, &claim.origin)?.ok_or_else(|| {
        let fault = ErrorCode::EvidenceKeyUnchained.with("origin", claim.origin);
        fault.with("participant", claim.origin.participant)
    })?;
    Ok(evidence::verify(proof, &claim.origin, &key).map_err(|error| bad_proof(&error))?)
}

/// A proof that does not verify.
pub(crate) fn bad_proof(reason: &dyn core::fmt::Display) -> Fault {
    ErrorCode::ReceiptBad.with("receipt", "the receipt").with("reference", "this file").with("reason", reason)
}

/// Which log an origin names, for people: `HUB traffic`, epoch only where it is not the first.
pub(crate) fn origin_words(origin: &LogOrigin) -> String {
    let log = |name: LogName| if name == LogName::Node { String::new() } else { format!(" {name}") };
    let epoch = if origin.epoch.0 == 1 { String::new() } else { format!(", epoch {}", origin.epoch.0) };
    format!("{}{}{epoch}", origin.participant, log(origin.log))
}
