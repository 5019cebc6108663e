//! Keys under a passphrase: how a folder is protected when its keys are made, how its keys are opened later, and the line in
//! the unit by which the daemon gets the passphrase.

use std::path::{Path, PathBuf};

use ncp_api::Fault;
use ncp_store::keyfiles;
use ncp_store::keyfiles::keyring::Keyring;

use super::files::{file_fault, fresh, put_public};
use super::folder::make_data_folders;
use crate::context::Context;
use crate::error::{Error, usage};
use crate::officer_key::Passphrase;

/// Name of the credential.
pub(crate) const CREDENTIAL: &str = "ncp-passphrase";
/// What messages call the passphrase.
const WHAT: &str = "the passphrase of the keys";
/// What takes its place where nobody can be asked.
const FLAG: &str = "--passphrase-file PATH";

/// What opens the keys of a data folder; asks for the passphrase if they are protected, and not otherwise.
///
/// # Errors
/// [`ncp_api::ErrorCode::InputNeeded`], [`ncp_api::ErrorCode::PassphraseWrong`], and the faults of the file.
pub(crate) fn open(context: &Context, data: &Path) -> Result<Keyring, Error> {
    let passphrase =
        if Keyring::is_protected(data) { Some(context.secret("Passphrase of the keys:", WHAT, FLAG)?) } else { None };
    let opened = Keyring::open(data, passphrase.as_ref().map(|text| text.as_str()));
    Ok(opened.map_err(|error| file_fault("key files", &error))?)
}

/// The same for a folder that may not have keys yet, whose keys are to be protected.
///
/// # Errors
/// As [`open`]; if keys lie there unprotected: a passphrase over copies that may exist protects nothing.
pub(crate) fn protect(context: &Context, data: &Path) -> Result<Keyring, Error> {
    make_data_folders(data)?;
    if Keyring::is_protected(data) {
        return open(context, data);
    }
    let keys = data.join(keyfiles::KEYS);
    let listed = std::fs::read_dir(&keys).map_err(|error| crate::error::file(&keys, &error))?;
    if listed.count() > 0 {
        let reason = format!("keys lie unprotected in {} already", data.display());
        return Err(usage(reason, "leave --protect out, or name an empty folder"));
    }
    let passphrase = new_passphrase(context)?;
    let made = Keyring::protect(data, &passphrase, fresh()?);
    Ok(made.map_err(|error| file_fault("key files", &error))?)
}

fn new_passphrase(context: &Context) -> Result<Passphrase, Error> {
    let first = context.secret("A passphrase for the keys:", WHAT, FLAG)?;
    if first.is_empty() {
        return Err(usage("the passphrase is empty", "choose one, or leave --protect out"));
    }
    if context.passphrase_file.is_none() && context.secret("The same again:", WHAT, FLAG)? != first {
        return Err(usage("the two passphrases differ", "type the same twice"));
    }
    Ok(first)
}

/// What goes into the unit of the daemon so that it gets the passphrase; written into the data folder, for root to install.
///
/// # Errors
/// [`ncp_api::ErrorCode::OutputExists`] if a file that says something else is in the way.
pub(crate) fn put_drop_in(data: &Path) -> Result<Option<PathBuf>, Fault> {
    if !Keyring::is_protected(data) {
        return Ok(None);
    }
    let path = data.join("credential.conf");
    let text = format!(
        "# A drop-in for the daemon's unit, written by ncpctl. The passphrase of the keys is the first line of a file of\n\
         # root's, mode 0600, which systemd hands to the daemon alone. To have it encrypted to this machine, use\n\
         # LoadCredentialEncrypted= with a file that  systemd-creds encrypt --name={CREDENTIAL}  made.\n\
         [Service]\n\
         LoadCredential={CREDENTIAL}:/etc/ncp/credentials/{CREDENTIAL}\n"
    );
    put_public(&path, text.as_bytes(), "drop-in")?;
    Ok(Some(path))
}

/// What is left to do by root, for people.
pub(crate) fn hints(drop_in: &Path, unit: &str) -> [String; 2] {
    [
        format!("as root:  install -D -m 0644 {} /etc/systemd/system/{unit}.d/credential.conf", drop_in.display()),
        format!(
            "as root:  put the passphrase into /etc/ncp/credentials/{CREDENTIAL}, mode 0600, then  systemctl daemon-reload"
        ),
    ]
}
