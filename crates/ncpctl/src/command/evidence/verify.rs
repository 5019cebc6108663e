//! `evidence verify`: receipts in a file, verified without any daemon.

use std::path::{Path, PathBuf};

use clap::Args;
use ncp_api::timeline::EvidenceBundle;
use ncp_api::{ErrorCode, Exit};
use ncp_protocol::limits::NOTE_MAX;
use ncp_protocol::proof::LogProof;
use serde::Serialize;

use crate::audit::{bad_proof, claim_words, judge_proof, origin_words};
use crate::context::{Context, blocking};
use crate::error::{Error, file, usage};
use crate::output::{Facts, Report};
use crate::style::{Style, Tone};
use crate::table::{Cell, Table};
use crate::verify::{Verdict, verify};

pub(super) const SCHEMA: &str = "ncp.evidence/1";
/// Largest file that is read: a bundle of receipts for all recipients, with all directory entries.
const FILE_MAX: u64 = 64 << 20;

const EXAMPLES: &str = "\
Examples:
  ncpctl evidence verify XA-2026-000417-evidence.json
  ncpctl evidence verify r2.tlog-proof --dir /var/lib/ncp-node

A bundle, as  evidence export  writes it, brings the directory entries that it needs: compare
the fingerprints that are shown with those you know. A single proof (C2SP tlog-proof) is judged by the entries of a data
folder. Exit 0: every receipt verifies; 65: one does not.";

/// Verify receipts in a file
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Verify {
    /// A bundle of evidence, or one proof
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Data folder whose directory judges a single proof
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// One receipt.
#[derive(Debug, Serialize)]
struct Judged {
    receipt: String,
    log: String,
    index: Option<u64>,
    #[serde(with = "ncp_api::time::option")]
    time: Option<ncp_protocol::ids::UnixMillis>,
    ok: bool,
    reason: String,
    anchor: String,
}

impl Verify {
    /// Does it.
    pub(super) async fn run(self, context: &Context) -> Result<Report, Error> {
        let (judged, head) = blocking(move || self.judge()).await?;
        report(&judged, &head, context)
    }

    /// The receipts, and facts about the file.
    fn judge(&self) -> Result<(Vec<Judged>, Facts), Error> {
        let text = read(&self.file)?;
        if text.trim_start().starts_with('{') {
            let bundle: EvidenceBundle = serde_json::from_str(&text).map_err(|error| bad_proof(&error))?;
            return Ok(judge_bundle(&bundle));
        }
        let Some(dir) = &self.dir else {
            return Err(usage("a single proof names its log but not the log's key", "add --dir with a data folder"));
        };
        let proof = LogProof::parse(&text).map_err(|error| bad_proof(&error))?;
        let verified = judge_proof(dir, &proof)?;
        let claim = verified.claim();
        let judged = Judged {
            receipt: claim_words(claim),
            log: origin_words(&claim.origin),
            index: Some(verified.index()),
            time: Some(verified.time()),
            ok: true,
            reason: String::new(),
            anchor: dir.display().to_string(),
        };
        Ok((vec![judged], Facts::default()))
    }
}

fn judge_bundle(bundle: &EvidenceBundle) -> (Vec<Judged>, Facts) {
    let verdicts = verify(bundle);
    let mut head = Facts::default();
    head.add("message", format!("{}, {}", bundle.reference, bundle.message));
    head.add("network", bundle.network.label());
    for chain in &bundle.directory {
        let anchor = chain.pinned.map_or_else(|| "not compared by anybody".to_owned(), |pin| pin.to_string());
        head.add(&format!("{} is", chain.participant), anchor);
    }
    let judged = bundle.receipts.iter().map(|receipt| {
        let anchor = bundle.directory.iter().find(|chain| chain.participant == receipt.participant);
        let anchor = anchor.and_then(|chain| chain.pinned).map_or_else(String::new, |pin| pin.to_string());
        let (ok, time, reason) = match verdicts.get(&receipt.id) {
            Some(Verdict::Good(proved)) => (true, Some(proved.time), String::new()),
            Some(Verdict::Bad(fault)) => (false, None, fault.cause()),
            None => (false, None, "it was not judged".to_owned()),
        };
        Judged {
            receipt: format!("{} for {}", receipt.kind, receipt.recipient),
            log: format!("{} {}", receipt.participant, receipt.log),
            index: Some(receipt.index),
            time,
            ok,
            reason,
            anchor,
        }
    });
    (judged.collect(), head)
}

fn report(judged: &[Judged], head: &Facts, context: &Context) -> Result<Report, Error> {
    let style = context.output.style;
    let mut table = Table::new(&["receipt", "log", "event", "time", "result"]);
    for receipt in judged {
        table.row(vec![
            receipt.receipt.clone().into(),
            receipt.log.clone().into(),
            receipt.index.map_or_else(String::new, |index| index.to_string()).into(),
            receipt.time.map_or_else(|| "—".to_owned(), |time| context.clock.minute(time)).into(),
            result(receipt),
        ]);
    }
    let all_good = !judged.is_empty() && judged.iter().all(|receipt| receipt.ok);
    let human = format!("{}{}", spaced(head, style), table.render(style));
    let exit = if all_good { Exit::Done } else { Exit::Data };
    Ok(Report::lines(SCHEMA, judged)?.human(human).plain(table.plain()).exit(exit))
}

fn spaced(head: &Facts, style: Style) -> String {
    let text = head.render(style);
    if text.is_empty() { text } else { text + "\n" }
}

fn result(receipt: &Judged) -> Cell {
    if receipt.ok { Cell::toned(Tone::Good, "ok") } else { Cell::toned(Tone::Bad, format!("BAD: {}", receipt.reason)) }
}

fn read(path: &Path) -> Result<String, Error> {
    use std::io::Read as _;
    let opened = std::fs::File::open(path).map_err(|error| {
        if error.kind() == std::io::ErrorKind::NotFound {
            return Error::from(ErrorCode::FileMissing.with("file", path.display()));
        }
        file(path, &error)
    })?;
    let mut text = String::new();
    opened.take(FILE_MAX.max(NOTE_MAX as u64)).read_to_string(&mut text).map_err(|error| file(path, &error))?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_is_judged_receipt_by_receipt() {
        let mut bundle = crate::verify::tests::bundle();
        let (judged, _) = judge_bundle(&bundle);
        assert!(judged.iter().all(|receipt| receipt.ok) && judged.len() == 1);
        bundle.receipts[0].index += 1;
        let (judged, _) = judge_bundle(&bundle);
        assert!(!judged[0].ok && !judged[0].reason.is_empty());
    }

    #[test]
    fn a_proof_alone_asks_for_a_folder_and_a_missing_file_is_not_found() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("proof");
        let bundle = crate::verify::tests::bundle();
        std::fs::write(&path, &bundle.receipts[0].proof).expect("written");
        let verify = Verify { file: path, dir: None };
        assert!(verify.judge().expect_err("no folder").is(ErrorCode::UsageInvalid));
        let missing = Verify { file: folder.path().join("none"), dir: None };
        assert!(missing.judge().expect_err("none").is(ErrorCode::FileMissing));
    }

    #[test]
    fn a_bundle_with_another_member_is_refused() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("bundle.json");
        let bundle = crate::verify::tests::bundle();
        std::fs::write(&path, serde_json::to_string(&bundle).expect("JSON")).expect("written");
        let verify = |path: &Path| Verify { file: path.to_owned(), dir: None }.judge().map(|(judged, _)| judged.len());
        assert_eq!(verify(&path), Ok(1));
        std::fs::write(&path, "{\"network\": 1}").expect("written");
        assert!(verify(&path).expect_err("no bundle").is(ErrorCode::ReceiptBad));
    }
}
