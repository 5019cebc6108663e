//! `hub admit`: a participant is taken in, after people compared its fingerprint, or goes on with its next keys.

use std::path::{Path, PathBuf};

use clap::Args;
use ncp_api::directory::MemberClass;
use ncp_protocol::directory::Fingerprint;
use serde::Serialize;

use crate::context::{Context, blocking};
use crate::error::{Error, usage};
use crate::joining::admission::{Admitted, Decision, admit, is_from_member};
use crate::joining::fingerprint_lines;
use crate::joining::folder::HubFolder;
use crate::joining::request::default_name;
use crate::output::{Facts, Report};

pub(super) const SCHEMA: &str = "ncp.hub-admit/1";

const EXAMPLES: &str = "\
Examples:
  ncpctl hub admit XA-request.json --dir hub --fingerprint \"3f2a 91c0 77de 0b14 c6a8 52e9 1d3f 8807 b4c2 60fa 9e15 d733 2a8b 41f6 0c9d e587\"
  ncpctl hub admit SEC-request.json --dir hub --class secretariat --role-key /media/a/membership-1.key --role-key /media/b/membership-2.key
  ncpctl hub admit XA-request-1.json --dir hub       the next keys of a member

Type the fingerprint as the participant reads it out; it is never shown before. Of a member none is needed: its next entry is
signed by the keys of the one before, back to the fingerprint that the membership statement names. The relay has to run: it records the
participant before the answer is written. If it does not, start it and give the same command again.";

/// Take a participant in, or go on with it.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Admit {
    /// The participant's joining request
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Folder of the hub's operator, as given to  hub init
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// The fingerprint that the participant read out; asked for if it is missing, unless the participant is a member
    #[arg(long, value_name = "FINGERPRINT")]
    fingerprint: Option<Fingerprint>,
    /// As what the participant takes part; a member stays what it is, another is a participating-state unless named
    #[arg(long, value_name = "CLASS")]
    class: Option<MemberClass>,
    /// A membership key that does not lie in DIR/offline; may be given several times
    #[arg(long = "role-key", value_name = "PATH")]
    role_keys: Vec<PathBuf>,
    /// The answer; PARTICIPANT-answer.json here unless named, or PARTICIPANT-answer-VERSION.json
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// What was done.
#[derive(Debug, Serialize)]
struct Taken {
    participant: String,
    class: MemberClass,
    fingerprint: String,
    membership_version: u32,
    entry_version: u32,
    public_index: u64,
    answer: PathBuf,
}

impl Admit {
    /// Does it. Order: files of the operator, the relay, the answer; a crash or an unreachable relay leaves what the same
    /// command finds again.
    pub(super) async fn run(self, context: &Context) -> Result<Report, Error> {
        let folder = HubFolder::new(&self.dir, None);
        let client = super::relay(context, &folder);
        let (file, now) = (self.file.clone(), context.clock.now);
        let fingerprint = self.fingerprint(&folder, context).await?;
        let class = self.class.map(Into::into);
        let decision = Decision { fingerprint, class, role_keys: self.role_keys.clone() };
        let admitted = blocking(move || Ok(admit(&folder, &file, &decision, now)?)).await?;
        let recorded = client.hub_admit(&admitted.told()).await?;
        let entries = admitted.entries();
        let name = || default_name(entries.participant(), "answer", entries.version());
        let out = self.out.unwrap_or_else(name);
        let answer = admitted.answer.clone();
        let path = out.clone();
        blocking(move || Ok(answer.write(&path)?)).await?;
        report(
            &Taken {
                participant: recorded.participant.to_string(),
                class: admitted.class().into(),
                fingerprint: entries.fingerprint().to_string(),
                membership_version: recorded.membership_version,
                entry_version: recorded.entry_version,
                public_index: recorded.public_index,
                answer: out,
            },
            &admitted,
            context,
        )
    }

    /// What people compared; of a member nothing is asked.
    async fn fingerprint(&self, folder: &HubFolder, context: &Context) -> Result<Option<Fingerprint>, Error> {
        if self.fingerprint.is_some() {
            return Ok(self.fingerprint);
        }
        let (folder, file, now) = (folder.clone(), self.file.clone(), context.clock.now);
        if blocking(move || Ok(is_from_member(&folder, &file, now)?)).await? {
            return Ok(None);
        }
        let question = "Fingerprint as the participant reads it out (16 groups of 4):";
        let text = context.asking.line(question, "the participant's fingerprint", "--fingerprint")?;
        let read = text.parse().map(Some);
        read.map_err(|_| usage("a fingerprint has 64 hexadecimal digits", "type all 16 groups of 4"))
    }
}

fn report(taken: &Taken, admitted: &Admitted, context: &Context) -> Result<Report, Error> {
    let path = |path: &Path| path.display().to_string();
    let mut facts = Facts::default();
    let what = if admitted.joined { "admitted" } else { "member" };
    facts.add(what, format!("{} as {}", taken.participant, taken.class));
    facts.add("fingerprint", fingerprint_lines(&admitted.entries().fingerprint()));
    facts.add("entry", format!("version {}", taken.entry_version));
    facts.add(
        "membership",
        format!(
            "version {}, until {}",
            taken.membership_version,
            context.clock.date(admitted.answer.membership.unverified().expires)
        ),
    );
    facts.add("recorded", format!("log public, event {}", taken.public_index));
    facts.add("answer", path(&taken.answer));
    let mut plain = Facts::default();
    plain.add("participant", taken.participant.clone());
    plain.add("class", taken.class.to_string());
    plain.add("fingerprint", taken.fingerprint.clone());
    plain.add("answer", path(&taken.answer));
    let report = Report::object(SCHEMA, taken)?
        .human(facts.render(context.output.style))
        .plain(plain.plain())
        .hint(format!("send {} to {}, which runs  ncpctl keys install", path(&taken.answer), taken.participant));
    if !admitted.joined {
        return Ok(report);
    }
    let participant = &taken.participant;
    Ok(report.hint(format!("at every other node, after a call:  ncpctl directory pin {participant} --fingerprint …")))
}
