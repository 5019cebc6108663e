//! `keys init --officer`: the officer's own key. The private half never leaves the officer's account.

use std::path::{Path, PathBuf};

use base64ct::{Base64, Encoding as _};
use ncp_protocol::ids::OfficerNumber;
use ncp_protocol::keys::SigningKey;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::context::{Context, read_passphrase};
use crate::error::{Error, file, internal, usage};
use crate::officer_key::{OfficerKey, Passphrase, Protection, SealedKey, create};
use crate::output::{Facts, Report};

/// Schema of its JSON.
pub(super) const SCHEMA: &str = "ncp.officer-key/1";

/// What was made.
#[derive(Debug, Serialize)]
struct Made {
    officer: u16,
    public_key: String,
    path: PathBuf,
    protected: bool,
}

/// The passphrase for a new key: from its file, or asked for twice.
pub(super) fn new_passphrase(context: &Context) -> Result<Passphrase, Error> {
    if let Some(path) = &context.passphrase_file {
        return read_passphrase(path);
    }
    let flag = "--passphrase-file PATH or --no-passphrase";
    let first = context.asking.secret("A passphrase for the new key:", "the passphrase", flag)?;
    let second = context.asking.secret("The same again:", "the passphrase", flag)?;
    if first == second { Ok(first) } else { Err(usage("the two passphrases differ", "type the same twice")) }
}

/// Makes the key file and says what to tell the node's supervisors; without passphrase the key is unprotected.
pub(super) fn init(context: &Context, number: u16, passphrase: Option<&Passphrase>) -> Result<Report, Error> {
    report(&make(context.officer_key_path()?, number, passphrase)?, context)
}

fn make(path: PathBuf, number: u16, passphrase: Option<&Passphrase>) -> Result<Made, Error> {
    make_folder(&path)?;
    let mut seed = Zeroizing::new([0; 32]);
    let mut salt = [0; 16];
    getrandom::fill(seed.as_mut()).map_err(|error| internal(&error))?;
    getrandom::fill(&mut salt).map_err(|error| internal(&error))?;
    let key = OfficerKey { officer: OfficerNumber(number), key: SigningKey::from_seed(&seed) };
    let protection = passphrase.map_or(Protection::Unprotected, |passphrase| Protection::Passphrase(passphrase, salt));
    create(&path, &key, &protection)?;
    // Read back from the file: what is told is what is there.
    let written = SealedKey::read(&path)?;
    let public_key = Base64::encode_string(&written.public().to_bytes());
    Ok(Made { officer: written.officer().0, public_key, path, protected: written.is_sealed() })
}

fn report(made: &Made, context: &Context) -> Result<Report, Error> {
    let mut facts = Facts::default();
    facts.add("officer", format!("{:02}", made.officer));
    facts.add("public key", &made.public_key);
    facts.add("file", made.path.display().to_string());
    facts.add("protected", if made.protected { "by your passphrase" } else { "not at all" });
    let key = &made.public_key;
    let hint = format!("a supervisor runs  ncpctl officers add {} --uid … --key {key} --roles …", made.officer);
    let human = facts.render(context.output.style);
    Ok(Report::object(SCHEMA, made)?.human(human).plain(facts.plain()).hint(hint))
}

/// The default folder is made if it is missing; another one has to be there.
fn make_folder(path: &Path) -> Result<(), Error> {
    let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) else { return Ok(()) };
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(above) = folder.parent() {
        std::fs::create_dir_all(above).map_err(|error| file(above, &error))?;
    }
    ncp_store::keyfiles::create_folder(folder).map_err(|error| file(folder, &error))
}
