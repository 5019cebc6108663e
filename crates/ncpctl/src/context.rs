//! What every command has at hand: options of all commands, clock, output, and clients of the daemon.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ncp_api::client::{Fresh, OfficerIdentity};
use ncp_api::{Client, ErrorCode};
use ncp_protocol::ids::hex;
use zeroize::Zeroizing;

use crate::clock::{Clock, system_now};
use crate::error::{Error, internal};
use crate::officer_key::{Passphrase, SealedKey};
use crate::output::Output;
use crate::prompt::Asking;

/// Name of the default daemon.
const NODE_DEFAULT: &str = "node";

/// What every command has at hand.
#[derive(Debug)]
pub(crate) struct Context {
    /// Where reports go.
    pub(crate) output: Output,
    /// Now, and the zone of times.
    pub(crate) clock: Clock,
    /// Whether questions may be asked.
    pub(crate) asking: Asking,
    /// `--node`.
    pub(crate) node: Option<String>,
    /// `--officer-key`.
    pub(crate) officer_key: Option<PathBuf>,
    /// `--passphrase-file`.
    pub(crate) passphrase_file: Option<PathBuf>,
}

impl Context {
    /// A client of the daemon, in nobody's name.
    pub(crate) fn client(&self) -> Client {
        Client::new(socket_of(self.node.as_deref().unwrap_or(NODE_DEFAULT)))
    }

    /// A client of the relay, unless another daemon was named.
    pub(crate) fn relay_client(&self) -> Client {
        Client::new(socket_of(self.node.as_deref().unwrap_or("relay")))
    }

    /// A client that signs in the officer's name.
    pub(crate) async fn officer_client(&self) -> Result<Client, Error> {
        let client = self.client();
        // Asked first: a daemon that is not there is the better error, before a passphrase is typed.
        let health = client.health().await?;
        let path = self.officer_key_path()?;
        let sealed = SealedKey::read(&path)?;
        let passphrase = if sealed.is_sealed() { self.passphrase(&sealed)? } else { Passphrase::default() };
        let opened = sealed.open(&path, &passphrase)?;
        Ok(client.with_officer(OfficerIdentity {
            network: health.network,
            participant: health.participant,
            officer: opened.officer,
            key: opened.key,
            fresh,
        }))
    }

    /// Where the officer's key lies: `--officer-key`, else `ncp/officer.key` in the configuration folder of the person.
    pub(crate) fn officer_key_path(&self) -> Result<PathBuf, Error> {
        if let Some(path) = &self.officer_key {
            return Ok(path.clone());
        }
        let folder = std::env::var_os("XDG_CONFIG_HOME")
            .filter(|folder| !folder.is_empty())
            .map(PathBuf::from)
            .or_else(|| std::env::home_dir().map(|home| home.join(".config")));
        match folder {
            Some(folder) => Ok(folder.join("ncp/officer.key")),
            None => Err(ErrorCode::OfficerKeyMissing.with("file", "~/.config/ncp/officer.key").into()),
        }
    }

    fn passphrase(&self, key: &SealedKey) -> Result<Passphrase, Error> {
        let question = format!("Passphrase of officer {}:", key.officer());
        self.secret(&question, "the passphrase of the officer key", "--passphrase-file PATH")
    }

    /// A passphrase: from its file, or asked for. `flag` is what takes its place where nobody can be asked.
    pub(crate) fn secret(&self, question: &str, what: &str, flag: &str) -> Result<Passphrase, Error> {
        match &self.passphrase_file {
            Some(path) => read_passphrase(path),
            None => self.asking.secret(question, what, flag),
        }
    }
}

/// The first line of a passphrase file that only its owner may read; `-` is standard input.
pub(crate) fn read_passphrase(path: &Path) -> Result<Passphrase, Error> {
    let unusable = |reason: &dyn core::fmt::Display| {
        Error::from(ErrorCode::PassphraseFileUnusable.with("file", path.display()).with("reason", reason))
    };
    let bytes = if path == Path::new("-") {
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).map_err(|error| unusable(&error))?;
        Zeroizing::new(line.into_bytes())
    } else {
        ncp_store::keyfiles::read_private(path).map_err(|error| unusable(&error))?
    };
    let text = std::str::from_utf8(&bytes).map_err(|_| unusable(&"not UTF-8"))?;
    Ok(Zeroizing::new(text.lines().next().unwrap_or_default().to_owned()))
}

/// The socket of a daemon: a path as it is, a name as its folder under `/run`.
pub(crate) fn socket_of(node: &str) -> PathBuf {
    if node.contains('/') {
        return PathBuf::from(node);
    }
    let name = if node.eq_ignore_ascii_case("hub") { "relay".to_owned() } else { node.to_ascii_lowercase() };
    PathBuf::from(format!("/run/ncp-{name}/api.sock"))
}

/// Time and chance for a signed request.
pub(crate) fn fresh() -> Fresh {
    Fresh { time: system_now(), idempotency_key: random_key() }
}

/// 128 random bits as text: an idempotency key.
pub(crate) fn random_key() -> String {
    let mut bytes = [0; 16];
    match getrandom::fill(&mut bytes) {
        Ok(()) => hex(&bytes),
        // Linux gives random bytes or blocks; a machine where it fails must not sign anything.
        Err(error) => panic!("the system has no random bytes: {error}"),
    }
}

/// The longest that a command waits, from a text such as `90s`, `5m`, `2h`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(split);
    let value: u64 = digits.parse().map_err(|_| format!("{text:?} does not begin with a number"))?;
    let seconds = match unit {
        "s" | "" => Some(value),
        "m" | "min" => value.checked_mul(60),
        "h" => value.checked_mul(3_600),
        _ => return Err(format!("{unit:?} is not s, m or h")),
    };
    seconds
        .filter(|seconds| *seconds <= 7 * 86_400)
        .map(Duration::from_secs)
        .ok_or_else(|| "longer than a week".to_owned())
}

/// Runs blocking work of the file system away from the runtime's threads.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(|error| internal(&error))?
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn daemons_are_named_or_shown_by_path() {
        for (node, socket) in [
            ("node", "/run/ncp-node/api.sock"),
            ("hub", "/run/ncp-relay/api.sock"),
            ("relay", "/run/ncp-relay/api.sock"),
            ("./api.sock", "./api.sock"),
        ] {
            assert_eq!(socket_of(node), PathBuf::from(socket));
        }
    }

    #[test]
    fn durations_have_units() {
        assert_eq!(parse_duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_duration("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(parse_duration("2h"), Ok(Duration::from_secs(7_200)));
        for text in ["", "m", "5d", "99999999999999999999h", "-1s", "9999h"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_passphrase_file_is_private_and_its_first_line_counts() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("pass");
        std::fs::write(&path, "correct horse\nsecond\n").expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("mode");
        assert_eq!(read_passphrase(&path).expect("reads").as_str(), "correct horse");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).expect("mode");
        assert!(read_passphrase(&path).expect_err("open to others").is(ErrorCode::PassphraseFileUnusable));
    }
}
