//! Attachments: names and uploads.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ncp_api::attachment::{check_name, media_type_of};
use ncp_api::message::Attachment;
use ncp_api::{Client, ErrorCode};

use crate::context::Context;
use crate::error::Error;
use crate::progress;

/// How long the daemon may take to seal and sync a message of the largest size, on a slow disk under load.
const COMPOSE_TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// A file that was uploaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attached {
    /// As the message names it.
    pub(crate) attachment: Attachment,
    /// Its length in bytes.
    pub(crate) length: u64,
}

/// The client for requests that have the daemon make a message of what was uploaded before it answers.
pub(crate) fn patient(client: &Client) -> Client {
    client.clone().with_timeout(COMPOSE_TIMEOUT)
}

/// Uploads the files of `--attach`, all names checked first.
pub(crate) async fn upload_all(context: &Context, client: &Client, typed: &[String]) -> Result<Vec<Attached>, Error> {
    let mut files = Vec::new();
    for (index, typed) in typed.iter().enumerate() {
        let (name, path) = split(typed)?;
        check_name(&name, index + 1)?;
        if files.iter().any(|(other, _)| *other == name) {
            return Err(ErrorCode::AttachmentNameTwice.with("name", format_args!("{name:?}")).into());
        }
        files.push((name, path));
    }
    let mut attached = Vec::new();
    for (name, path) in files {
        attached.push(upload(context, client, name, &path).await?);
    }
    Ok(attached)
}

async fn upload(context: &Context, client: &Client, name: String, path: &Path) -> Result<Attached, Error> {
    // A file that is missing has no length; the upload says so.
    let bar = progress::bar(context, std::fs::metadata(path).map_or(0, |file| file.len()));
    let created = client.upload(path, |progress| bar.set_position(progress.done)).await;
    bar.finish_and_clear();
    let created = created?;
    context.output.detail(&format!("uploaded {name} as {}", created.id));
    let attachment = Attachment { media_type: media_type_of(&name).to_owned(), name, blob: created.id };
    Ok(Attached { attachment, length: created.length })
}

/// Name and path of `[NAME=]PATH`. What stands before `=` is a name unless it contains a slash.
fn split(typed: &str) -> Result<(String, PathBuf), Error> {
    if let Some((name, path)) = typed.split_once('=').filter(|(name, path)| !name.contains('/') && !path.is_empty()) {
        return Ok((name.to_owned(), PathBuf::from(path)));
    }
    let path = PathBuf::from(typed);
    match path.file_name().and_then(|name| name.to_str()) {
        Some(name) => Ok((name.to_owned(), path)),
        None => {
            Err(ErrorCode::AttachmentMissing.with("file", path.display()).with("reason", "not a file's name").into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_from_the_file_or_before_the_sign() {
        for (typed, name, path) in [
            ("photo.jpg", "photo.jpg", "photo.jpg"),
            ("/tmp/a b.jpg", "a b.jpg", "/tmp/a b.jpg"),
            ("van.jpg=/tmp/x", "van.jpg", "/tmp/x"),
            ("./a=b.jpg", "a=b.jpg", "./a=b.jpg"),
            ("=/tmp/x", "", "/tmp/x"),
        ] {
            assert_eq!(split(typed).expect("splits"), (name.to_owned(), PathBuf::from(path)));
        }
        assert!(split("/tmp/..").expect_err("no name").is(ErrorCode::AttachmentMissing));
    }
}
