//! `keys new-epoch`: a participant whose log was lost begins again with fresh keys in a fresh folder.

use std::path::{Path, PathBuf};

use clap::Args;
use ncp_api::{ErrorCode, Fault};
use ncp_protocol::ids::ParticipantId;
use serde::Serialize;

use crate::context::{Context, blocking};
use crate::error::{Error, usage};
use crate::joining::answer;
use crate::joining::entries::Entries;
use crate::joining::entry::Made;
use crate::joining::folder::make_data_folders;
use crate::joining::held::entry_gone;
use crate::joining::new_epoch::{NewEpoch, epoch};
use crate::joining::protection;
use crate::joining::request::{Request, default_name};
use crate::output::{Facts, Report};

pub(super) const SCHEMA: &str = "ncp.keys-new-epoch/1";

const EXAMPLES: &str = "\
Examples:
  ncpctl keys new-epoch --from XA-answer-3.json --dir /var/lib/ncp-node --offline /media/usb --confirm=XA
  ncpctl keys new-epoch --from restored --dir /var/lib/ncp-node --offline /media/usb --confirm=XA --protect

For a data folder that was lost, or whose log branched (NCP-E6107, NCP-E1305). All keys are made anew but identity and recovery,
and the log begins again in its next epoch; what others hold of the old one stays valid. --from names the hub's newest answer,
or the old or restored data folder, which stays as it is. DIR has to be empty. Officers, holds and pins of others are told to
the new node again; mail that waits at the hub is sealed again for it. The same command again changes nothing.";

/// Begin again after a loss.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Begin {
    /// What holds the participant's entries: the hub's newest answer, or the old data folder
    #[arg(long, value_name = "PATH")]
    from: PathBuf,
    /// The new data folder: empty, or made
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Folder with the identity key
    #[arg(long, value_name = "DIR")]
    offline: PathBuf,
    /// Seal the keys in DIR under a passphrase, which the daemon gets as a credential of systemd
    #[arg(long)]
    protect: bool,
    /// Who begins again: the old keys cannot be used any more
    #[arg(long, value_name = "ID")]
    confirm: Option<ParticipantId>,
    /// The request; PARTICIPANT-request-VERSION.json here unless named
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// What was made.
#[derive(Debug, Serialize)]
struct Begun {
    participant: String,
    fingerprint: String,
    entry_version: u32,
    epoch: u32,
    data_dir: PathBuf,
    request: PathBuf,
}

impl Begin {
    /// Does it.
    pub(super) async fn run(self, context: &Context) -> Result<Report, Error> {
        let before = entries(&self.from)?;
        let participant = before.participant();
        if participant == ParticipantId::HUB {
            return Err(usage("the hub's logs do not begin again", "name the entries of a participant with --from"));
        }
        if self.confirm != Some(participant) {
            let what = format!("{participant} gives up all keys but identity and recovery, and its log begins again");
            return Err(ErrorCode::ConfirmationNeeded.with("what", what).with("name", participant).into());
        }
        let (data, offline, now) = (self.dir.clone(), self.offline, context.clock.now);
        make_data_folders(&data)?;
        let keyring =
            if self.protect { protection::protect(context, &data)? } else { protection::open(context, &data)? };
        let out = self.out;
        let (made, request) = blocking(move || {
            let made = NewEpoch { data: &data, keyring: &keyring, offline: &offline, before, now }.open()?;
            let request = out.unwrap_or_else(|| default_name(participant, "request", made.entries.version()));
            Request::write(&request, &made)?;
            Ok((made, request))
        })
        .await?;
        report(&made, self.dir, request, context)
    }
}

/// The entries that a data folder or an answer holds.
fn entries(from: &Path) -> Result<Entries, Fault> {
    if !from.is_dir() {
        return answer::entries(from);
    }
    Entries::read(from)?.ok_or_else(|| entry_gone(from, "name the hub's newest answer with --from"))
}

fn report(made: &Made, data_dir: PathBuf, request: PathBuf, context: &Context) -> Result<Report, Error> {
    let entries = &made.entries;
    let begun = Begun {
        participant: entries.participant().to_string(),
        fingerprint: entries.fingerprint().to_string(),
        entry_version: entries.version(),
        epoch: epoch(entries.newest()).0,
        data_dir,
        request,
    };
    let answer = default_name(entries.participant(), "answer", begun.entry_version);
    let mut facts = Facts::default();
    facts.add("participant", begun.participant.clone());
    facts.add("entry", format!("version {}", begun.entry_version));
    facts.add("log", format!("epoch {}", begun.epoch));
    facts.add("keys", begun.data_dir.join(ncp_store::keyfiles::KEYS).display().to_string());
    facts.add("request", begun.request.display().to_string());
    let mut plain = Facts::default();
    plain.add("participant", begun.participant.clone());
    plain.add("entry-version", begun.entry_version.to_string());
    plain.add("epoch", begun.epoch.to_string());
    plain.add("request", begun.request.display().to_string());
    Ok(Report::object(SCHEMA, &begun)?
        .human(facts.render(context.output.style))
        .plain(plain.plain())
        .hint(format!("send {} to the hub's operator", begun.request.display()))
        .hint(format!("ncpctl keys install {} --dir {}", answer.display(), begun.data_dir.display()))
        .hint("pin the others again: ncpctl audit show OLD names the fingerprints that were pinned")
        .hint("carry the identity key away again"))
}
