//! `save`: a message's parts as files. From then on the system no longer enforces its handling code, and says so.
//!
//! A file is made under its final name, mode 0600, never over another; a part that does not have the digest that the
//! message names is removed again.

use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use clap::Args;
use ncp_api::attachment::check_name;
use ncp_api::message::{ContentState, MessageName, MessageView, PartView};
use ncp_api::{Client, ErrorCode, path};
use ncp_protocol::codes::Handling;
use serde::Serialize;

use super::show::{Acknowledged, open};
use crate::context::Context;
use crate::error::{Error, file};
use crate::output::Report;
use crate::progress;
use crate::style::{Tone, bytes};
use crate::table::plain_record;

/// Schema of its JSON.
pub(super) const SCHEMA: &str = "ncp.saved/1";

const EXAMPLES: &str = "\
Examples:
  ncpctl save XB-2026-000031 --to /home/duty/case-17
  ncpctl save XB-2026-000031 --to . --part 2";

/// Save a message's parts to files
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Save {
    /// Reference or message id
    #[arg(value_name = "ID")]
    name: MessageName,
    /// The folder; it must exist
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// Only this part; repeatable
    #[arg(long, value_name = "NUMBER")]
    part: Vec<u16>,
    /// The restriction of an H3 message was read
    #[arg(long)]
    acknowledge: bool,
}

/// What was saved.
#[derive(Debug, Serialize)]
struct Saved {
    reference: String,
    folder: PathBuf,
    files: Vec<SavedFile>,
    handling: String,
}

#[derive(Debug, Serialize)]
struct SavedFile {
    part: u16,
    path: PathBuf,
    length: u64,
    sha256: String,
}

impl Save {
    pub(super) async fn run(self, context: &Context) -> Result<Report, Error> {
        let client = context.officer_client().await?;
        let view = open(context, &client, &self.name, Acknowledged::of(self.acknowledge)).await?;
        if view.content == ContentState::Erased {
            let fault = ErrorCode::ContentErased.with("reference", view.reference);
            return Err(fault.with("time", "an earlier day").into());
        }
        let parts = self.chosen(&view)?;
        check_targets(&self.to, &parts)?;
        let mut files = Vec::new();
        for part in parts {
            files.push(fetch(context, &client, &self.name, &self.to, part).await?);
        }
        report(context, &view, self.to, files)
    }

    fn chosen<'a>(&self, view: &'a MessageView) -> Result<Vec<&'a PartView>, Error> {
        if self.part.is_empty() {
            return Ok(view.parts.iter().collect());
        }
        let find = |number: &u16| {
            view.parts.iter().find(|part| part.number == *number).ok_or_else(|| {
                let fault = ErrorCode::PartUnknown.with("reference", view.reference).with("part", number);
                Error::from(fault.with("count", view.parts.len()))
            })
        };
        self.part.iter().map(find).collect()
    }
}

/// Looks at all names before anything is written: a part's name is another party's text.
fn check_targets(folder: &Path, parts: &[&PartView]) -> Result<(), Error> {
    if !folder.is_dir() {
        return Err(file(folder, &"there is no such folder"));
    }
    for part in parts {
        check_name(&part.name, usize::from(part.number))?;
        let target = folder.join(&part.name);
        if target.symlink_metadata().is_ok() {
            let fault = ErrorCode::OutputExists.with("file", target.display());
            return Err(fault.with("remedy", "name another folder with --to").into());
        }
    }
    Ok(())
}

async fn fetch(
    context: &Context,
    client: &Client,
    name: &MessageName,
    folder: &Path,
    part: &PartView,
) -> Result<SavedFile, Error> {
    let target = folder.join(&part.name);
    // Made anew or not at all: a link that somebody puts there meanwhile is not followed.
    let made = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&target);
    let made = made.map_err(|error| file(&target, &error))?;
    let mut out = tokio::fs::File::from_std(made);
    let bar = progress::bar(context, part.length);
    let path = path::message_part(name, part.number);
    let fetched = client.download(&path, &mut out, |progress| bar.set_position(progress.done)).await;
    bar.finish_and_clear();
    let checked = fetched.and_then(|digest| {
        if digest == part.sha256 {
            Ok(digest)
        } else {
            Err(file(&target, &"the part has another digest than the message says"))
        }
    });
    match checked {
        Ok(digest) => {
            Ok(SavedFile { part: part.number, path: target, length: part.length, sha256: digest.to_string() })
        }
        Err(error) => {
            // Made above by this very command; half a file must not look like a whole one.
            let _ = std::fs::remove_file(&target);
            Err(error)
        }
    }
}

fn report(context: &Context, view: &MessageView, folder: PathBuf, files: Vec<SavedFile>) -> Result<Report, Error> {
    let (mut human, mut plain) = (String::new(), String::new());
    for saved in &files {
        human.push_str(&format!("saved  {}  {}\n", saved.path.display(), bytes(saved.length)));
        let fields =
            [saved.part.to_string(), saved.path.display().to_string(), saved.length.to_string(), saved.sha256.clone()];
        plain.push_str(&plain_record(fields.iter().map(String::as_str)));
    }
    let code = ncp_api::text::handling::show(view.handling);
    if view.handling != Handling::H0 {
        let words = format!("{code} still holds for you: {}", crate::message::handling_words(view.handling));
        human.push_str(&context.output.style.paint(Tone::Warn, &words));
        human.push_str(". These files are outside the system, which no longer enforces it.\n");
    }
    let saved = Saved { reference: view.reference.to_string(), folder, files, handling: code };
    Ok(Report::object(SCHEMA, &saved)?.human(human).plain(plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(name: &str) -> PartView {
        PartView {
            number: 1,
            name: name.to_owned(),
            media_type: "text/plain".to_owned(),
            length: 1,
            sha256: ncp_protocol::ids::Digest([0; 32]),
            task: None,
        }
    }

    #[test]
    fn names_that_leave_the_folder_or_overwrite_are_refused() {
        let folder = tempfile::tempdir().expect("folder");
        std::fs::write(folder.path().join("there"), "x").expect("written");
        std::os::unix::fs::symlink("/nonexistent", folder.path().join("link")).expect("link");
        let check = |name: &str| check_targets(folder.path(), &[&part(name)]);
        assert!(check("new.txt").is_ok());
        assert!(check("../x").expect_err("path").is(ErrorCode::AttachmentNamePath));
        assert!(check("there").expect_err("exists").is(ErrorCode::OutputExists));
        assert!(check("link").expect_err("a dangling link").is(ErrorCode::OutputExists));
        let none = check_targets(&folder.path().join("none"), &[]);
        assert!(none.expect_err("no folder").is(ErrorCode::FileUnusable));
    }
}
