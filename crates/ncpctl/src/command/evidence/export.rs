//! `evidence export`: all receipts of a message, and what verifies them, in one file.

use std::path::{Path, PathBuf};

use clap::Args;
use ncp_api::ErrorCode;
use ncp_api::message::MessageName;
use ncp_api::timeline::EvidenceBundle;
use ncp_store::keyfiles::{self, KeyFileError};
use serde::Serialize;

use crate::context::{Context, blocking};
use crate::error::{Error, file, internal};
use crate::output::{Facts, Report};

pub(super) const SCHEMA: &str = "ncp.evidence-file/1";

const EXAMPLES: &str = "\
Examples:
  ncpctl evidence export XA-2026-000417
  ncpctl evidence export XA-2026-000417 --out /media/usb/grey-van.json

The file holds receipts, their proofs and the directory entries that name the keys; no content. Whoever has it verifies it
with  ncpctl evidence verify.";

/// Write all receipts of a message, and what verifies them, to one file
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Export {
    /// Reference or message id
    #[arg(value_name = "ID")]
    name: MessageName,
    /// The file; REFERENCE-evidence.json here unless named; never overwritten
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// What was written.
#[derive(Debug, Serialize)]
struct Exported {
    reference: String,
    file: PathBuf,
    receipts: usize,
}

impl Export {
    /// Does it.
    pub(super) async fn run(self, context: &Context) -> Result<Report, Error> {
        let bundle = context.officer_client().await?.evidence(&self.name).await?;
        let out = self.out.unwrap_or_else(|| PathBuf::from(format!("{}-evidence.json", bundle.reference)));
        let exported =
            Exported { reference: bundle.reference.to_string(), file: out.clone(), receipts: bundle.receipts.len() };
        blocking(move || write(&out, &bundle)).await?;
        let mut facts = Facts::default();
        facts.add("exported", exported.reference.clone());
        facts.add("receipts", exported.receipts.to_string());
        facts.add("file", exported.file.display().to_string());
        let hint = format!("ncpctl evidence verify {}", exported.file.display());
        Ok(Report::object(SCHEMA, &exported)?.human(facts.render(context.output.style)).plain(facts.plain()).hint(hint))
    }
}

/// Who wrote to whom is nobody else's business, so the file is its owner's alone.
fn write(path: &Path, bundle: &EvidenceBundle) -> Result<(), Error> {
    let mut bytes = serde_json::to_vec_pretty(bundle).map_err(|error| internal(&error))?;
    bytes.push(b'\n');
    match keyfiles::create_private(path, &bytes) {
        Err(KeyFileError::Exists(_)) => {
            let fault = ErrorCode::OutputExists.with("file", path.display());
            Err(fault.with("remedy", "name another file with --out").into())
        }
        written => written.map_err(|error| file(path, &error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_is_written_once_and_reads_back() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("bundle.json");
        let bundle = crate::verify::tests::bundle();
        write(&path, &bundle).expect("written");
        let read: EvidenceBundle = serde_json::from_slice(&std::fs::read(&path).expect("file")).expect("JSON");
        assert_eq!(read, bundle);
        assert!(write(&path, &bundle).expect_err("never overwritten").is(ErrorCode::OutputExists));
    }
}
