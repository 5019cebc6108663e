//! `keys rotate`: the next version of a participant's entry, with a new sealing key, and the request for it.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::context::{Context, blocking};
use crate::error::Error;
use crate::joining::entries::Entries;
use crate::joining::files::check_folder;
use crate::joining::held::newest_sealing;
use crate::joining::protection;
use crate::joining::request::{Request, default_name};
use crate::joining::rotate::{News, Rotated, Rotation, Wish};
use crate::output::{Facts, Report};

pub(super) const SCHEMA: &str = "ncp.keys-rotate/1";

const EXAMPLES: &str = "\
Examples:
  ncpctl keys rotate --dir /var/lib/ncp-node --offline /media/usb
  ncpctl keys rotate --dir /var/lib/ncp-node --offline /media/usb --signing --tls
  ncpctl keys rotate --dir /var/lib/ncp-node --offline /media/usb --compromised
  ncpctl keys rotate --dir /var/lib/ncp-node --offline /media/safe --recovery

Others seal to a key for 90 days: give this command every 60. It always makes a new sealing key, a new signing key when the
old one has less than 120 days left, and asks for a new certificate when the old one ends. Old sealing keys stay and open what
is under way. The identity key signs the new entry: bring it, and carry it away again. The same command again within a day
makes nothing new and writes the same request.";

/// Go on with the next keys.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Rotate {
    /// The node's data folder
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Folder with the identity key; DIR/offline unless named
    #[arg(long, value_name = "DIR")]
    offline: Option<PathBuf>,
    /// Make a new signing key, whatever time the old one has left
    #[arg(long)]
    signing: bool,
    /// Make a new TLS key
    #[arg(long)]
    tls: bool,
    /// Make another version, although the newest was made less than a day ago
    #[arg(long)]
    again: bool,
    /// Others may have the old keys: make all three anew and name none of the old ones any more
    #[arg(long)]
    compromised: bool,
    /// Replace a lost or stolen identity key: the recovery key signs, and a new identity key is made beside it
    #[arg(long)]
    recovery: bool,
    /// The request; PARTICIPANT-request-VERSION.json here unless named
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// What was made.
#[derive(Debug, Serialize)]
struct Made {
    participant: String,
    fingerprint: String,
    entry_version: u32,
    made: bool,
    new_identity_key: bool,
    new_signing_key: bool,
    new_tls_key: bool,
    seal_until: String,
    sign_until: String,
    data_dir: PathBuf,
    request: PathBuf,
}

impl Rotate {
    /// Does it.
    pub(super) async fn run(self, context: &Context) -> Result<Report, Error> {
        let data = self.dir.clone();
        let keyring = protection::open(context, &data)?;
        let now = context.clock.now;
        let (rotated, request, offline) = blocking(move || {
            check_folder(&data)?;
            let offline = self.offline.unwrap_or_else(|| data.join("offline"));
            if let Some(next) = next_request(self.out.as_ref(), Entries::read(&data)?.as_ref()) {
                Request::restore_entries(&next, &data, &keyring)?;
            }
            let wish = Wish {
                signing: self.signing,
                tls: self.tls,
                again: self.again,
                compromised: self.compromised,
                recovery: self.recovery,
            };
            let rotated = Rotation { data: &data, keyring: &keyring, offline: &offline, wish, now }.rotate()?;
            let entries = &rotated.made.entries;
            let request = self.out.unwrap_or_else(|| default_name(entries.participant(), "request", entries.version()));
            Request::write(&request, &rotated.made)?;
            Ok((rotated, request, offline))
        })
        .await?;
        let entries = &rotated.made.entries;
        let (newest, news) = (entries.newest(), News::of(entries));
        let date = |until: Option<_>| until.map(|until| context.clock.date(until)).unwrap_or_default();
        let made = Made {
            participant: entries.participant().to_string(),
            fingerprint: entries.fingerprint().to_string(),
            entry_version: entries.version(),
            made: rotated.is_new,
            new_identity_key: news.identity,
            new_signing_key: news.signing,
            new_tls_key: news.tls,
            seal_until: date(newest_sealing(newest).map(|key| key.seal_until)),
            sign_until: date(newest.keys.signing.map(|key| key.until)),
            data_dir: self.dir,
            request,
        };
        report(&made, &rotated, &offline.display().to_string(), context)
    }
}

/// Where the request for the version after the newest would lie: an earlier call may have written it, before the folder lost
/// that version.
fn next_request(out: Option<&PathBuf>, held: Option<&Entries>) -> Option<PathBuf> {
    let held = held?;
    Some(out.cloned().unwrap_or_else(|| default_name(held.participant(), "request", held.version() + 1)))
}

fn report(made: &Made, rotated: &Rotated, offline: &str, context: &Context) -> Result<Report, Error> {
    let mut news = vec!["sealing key"];
    news.extend(made.new_identity_key.then_some("identity key"));
    news.extend(made.new_signing_key.then_some("signing key"));
    news.extend(made.new_tls_key.then_some("TLS key"));
    let answer = default_name(rotated.made.entries.participant(), "answer", made.entry_version);
    let mut facts = Facts::default();
    facts.add("participant", made.participant.clone());
    facts.add(
        "entry",
        format!("version {}{}", made.entry_version, if made.made { "" } else { ", made less than a day ago" }),
    );
    facts.add("new", news.join(", "));
    facts.add("others seal", format!("until {}", made.seal_until));
    facts.add("signing", format!("until {}", made.sign_until));
    facts.add("request", made.request.display().to_string());
    let mut plain = Facts::default();
    plain.add("participant", made.participant.clone());
    plain.add("fingerprint", made.fingerprint.clone());
    plain.add("entry-version", made.entry_version.to_string());
    plain.add("seal-until", made.seal_until.clone());
    plain.add("request", made.request.display().to_string());
    Ok(Report::object(SCHEMA, made)?
        .human(facts.render(context.output.style))
        .plain(plain.plain())
        .hint(format!("send {} to the hub's operator", made.request.display()))
        .hint(format!("ncpctl keys install {} --dir {}", answer.display(), made.data_dir.display()))
        .hint(format!("carry the identity key away again from {offline}")))
}
