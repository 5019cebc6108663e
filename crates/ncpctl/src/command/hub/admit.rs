//! `hub admit`: a participant is taken in. People compared its fingerprint before.

use std::path::{Path, PathBuf};

use clap::Args;
use ncp_api::directory::MemberClass;
use ncp_protocol::directory::Fingerprint;
use serde::Serialize;

use crate::context::{Context, blocking};
use crate::error::{Error, usage};
use crate::joining::fingerprint_lines;
use crate::joining::folder::HubFolder;
use crate::joining::hub::{Admitted, Decision, admit, tell_relay};
use crate::output::{Facts, Report};

pub(super) const SCHEMA: &str = "ncp.hub-admit/1";

const EXAMPLES: &str = "\
Examples:
  ncpctl hub admit XA-request.json --dir hub --fingerprint \"3f2a 91c0 77de 0b14 c6a8 52e9 1d3f 8807 b4c2 60fa 9e15 d733 2a8b 41f6 0c9d e587\"
  ncpctl hub admit SEC-request.json --dir hub --class secretariat --role-key /media/a/membership-1.key --role-key /media/b/membership-2.key

Type the fingerprint as the participant reads it out; it is never shown before. The relay has to run: it records the
participant before the answer is written. If it does not, start it and give the same command again.";

/// Take a participant in.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Admit {
    /// The participant's joining request
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Folder of the hub's operator, as given to  hub init
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// The fingerprint that the participant read out; asked for if it is missing
    #[arg(long, value_name = "FINGERPRINT")]
    fingerprint: Option<Fingerprint>,
    /// As what the participant takes part
    #[arg(long, value_name = "CLASS", default_value = "participating-state")]
    class: MemberClass,
    /// A membership key that does not lie in DIR/offline; may be given several times
    #[arg(long = "role-key", value_name = "PATH")]
    role_keys: Vec<PathBuf>,
    /// The answer; PARTICIPANT-answer.json here unless named
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
        let fingerprint = self.fingerprint(context)?;
        let folder = HubFolder::new(&self.dir, None);
        let client = super::relay(context, &folder);
        let decision = Decision { fingerprint, class: self.class.into(), role_keys: self.role_keys.clone() };
        let (file, now) = (self.file.clone(), context.clock.now);
        let admitted = blocking(move || Ok(admit(&folder, &file, &decision, now)?)).await?;
        let recorded = tell_relay(&client, &admitted).await?;
        let out = self.out.clone().unwrap_or_else(|| PathBuf::from(format!("{}-answer.json", recorded.participant)));
        let answer = admitted.answer.clone();
        let path = out.clone();
        blocking(move || Ok(answer.write(&path)?)).await?;
        report(
            &Taken {
                participant: recorded.participant.to_string(),
                class: self.class,
                fingerprint: fingerprint.to_string(),
                membership_version: recorded.membership_version,
                entry_version: recorded.entry_version,
                public_index: recorded.public_index,
                answer: out,
            },
            &admitted,
            context,
        )
    }

    fn fingerprint(&self, context: &Context) -> Result<Fingerprint, Error> {
        match self.fingerprint {
            Some(fingerprint) => Ok(fingerprint),
            None => {
                let question = "Fingerprint as the participant reads it out (16 groups of 4):";
                let text = context.asking.line(question, "the participant's fingerprint", "--fingerprint")?;
                text.parse().map_err(|_| usage("a fingerprint has 64 hexadecimal digits", "type all 16 groups of 4"))
            }
        }
    }
}

fn report(taken: &Taken, admitted: &Admitted, context: &Context) -> Result<Report, Error> {
    let path = |path: &Path| path.display().to_string();
    let mut facts = Facts::default();
    facts.add("admitted", format!("{} as {}", taken.participant, taken.class));
    facts.add("fingerprint", fingerprint_lines(&Fingerprint(admitted.entry.digest())));
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
    Ok(Report::object(SCHEMA, taken)?
        .human(facts.render(context.output.style))
        .plain(plain.plain())
        .hint(format!("send {} to {}, which runs  ncpctl keys install", path(&taken.answer), taken.participant))
        .hint(format!(
            "at every other node, after a call:  ncpctl directory pin {} --fingerprint …",
            taken.participant
        )))
}
