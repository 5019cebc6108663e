//! Keys under a passphrase that a service manager hands to the daemons: joining seals them, the daemons open them, and
//! whatever is wrong with the credential is one error at the start.
#![cfg(test)]

use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use e2e::binaries::Program;
use e2e::ctl::{Ctl, text};
use e2e::network::free_address;
use e2e::process::Ended;
use e2e::supervisor::Supervised;
use ncp_api::ErrorCode;
use rustix::process::Signal;

const PASSPHRASE: &str = "nine green bottles";

/// A folder of credentials as systemd makes it, and a passphrase file for ncpctl.
struct World {
    folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let world = Self { folder: e2e::folder::fresh() };
        fs::create_dir(world.path("credentials")).expect("a folder");
        world.credential("ncp-passphrase", &format!("{PASSPHRASE}\n"), 0o400);
        world.credential("other", "ten green bottles\n", 0o400);
        world.credential("empty", "", 0o400);
        world.credential("open", &format!("{PASSPHRASE}\n"), 0o444);
        fs::write(world.path("pass"), PASSPHRASE).expect("written");
        fs::set_permissions(world.path("pass"), Permissions::from_mode(0o600)).expect("mode");
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn credential(&self, name: &str, text: &str, mode: u32) {
        let path = self.path("credentials").join(name);
        fs::write(&path, text).expect("written");
        fs::set_permissions(&path, Permissions::from_mode(mode)).expect("mode");
    }

    fn environment(&self) -> Vec<(&'static str, OsString)> {
        vec![("CREDENTIALS_DIRECTORY", self.path("credentials").into())]
    }

    fn ctl(&self, words: &str) -> Ctl {
        Ctl::new(words).set("--passphrase-file", self.path("pass"))
    }

    /// A network whose relay has sealed keys.
    fn hub(&self) -> (PathBuf, String) {
        let made = self
            .ctl("hub init --class test --protect")
            .set("--dir", self.path("hub"))
            .set("--listen", free_address().to_string())
            .json();
        (PathBuf::from(text(&made, "config")), text(&made, "network"))
    }
}

/// Starts a daemon that has to refuse.
fn refused(program: Program, config: &Path, environment: &[(&str, OsString)]) -> Ended {
    let supervised = Supervised::start(program, config, environment);
    let ended = supervised.daemon.ended();
    assert_eq!(ended.code(), Some(78), "{}", ended.log);
    assert_eq!(ended.log.matches("error[").count(), 1, "{}", ended.log);
    ended
}

#[test]
fn whatever_is_wrong_with_the_credential_is_one_error() {
    let world = World::new();
    let (config, _) = world.hub();
    let good = fs::read_to_string(&config).expect("a configuration");
    assert!(good.contains("passphrase-credential = \"ncp-passphrase\""), "{good}");
    let with = |line: &str| {
        fs::write(&config, good.replace("passphrase-credential = \"ncp-passphrase\"", line)).expect("written");
    };
    let says = |ended: Ended, code: ErrorCode, words: &[&str]| {
        assert!(ended.log.contains(&code.to_string()), "{code}: {}", ended.log);
        assert!(words.iter().all(|word| ended.log.contains(word)), "{words:?}: {}", ended.log);
        assert!(!ended.log.contains(PASSPHRASE), "{}", ended.log);
    };
    let environment = world.environment();
    let start = |environment: &[(&str, OsString)]| refused(Program::Relay, &config, environment);
    says(start(&[]), ErrorCode::CredentialUnusable, &["CREDENTIALS_DIRECTORY is not set"]);
    with("");
    says(start(&environment), ErrorCode::KeysSealed, &["keys/passphrase"]);
    with("passphrase-credential = \"../pass\"");
    says(start(&environment), ErrorCode::ConfigValueInvalid, &["the name of a credential"]);
    for (name, words) in
        [("missing", "there is no such file"), ("open", "it has mode 0444"), ("empty", "its first line is empty")]
    {
        with(&format!("passphrase-credential = \"{name}\""));
        says(start(&environment), ErrorCode::CredentialUnusable, &[name, words]);
    }
    with("passphrase-credential = \"other\"");
    says(start(&environment), ErrorCode::KeysPassphraseWrong, &["keys/passphrase"]);
}

#[test]
fn a_network_of_sealed_keys_comes_up_and_no_key_lies_open() {
    let world = World::new();
    let (relay, network) = world.hub();
    let drop_in = fs::read_to_string(world.path("hub/data/credential.conf")).expect("the drop-in");
    assert!(drop_in.contains("[Service]\nLoadCredential=ncp-passphrase:/etc/ncp/credentials/ncp-passphrase\n"));
    let hub = Supervised::start(Program::Relay, &relay, &world.environment());
    hub.until("READY=1");

    let data = world.path("xa");
    let made = world
        .ctl("keys init --participant XA --protect")
        .set("--dir", &data)
        .set("--network", network)
        .set("--out", world.path("request.json"))
        .json();
    let unopened = Ctl::new("keys list --no-input").set("--dir", &data).run();
    assert_eq!(unopened.code, 2, "{}", unopened.stderr);
    let _ = Ctl::new("hub admit")
        .with(world.path("request.json"))
        .set("--node", world.path("hub/api.sock"))
        .set("--dir", world.path("hub"))
        .set("--fingerprint", text(&made, "fingerprint"))
        .set("--out", world.path("answer.json"))
        .ok();
    let _ = world.ctl("keys install").with(world.path("answer.json")).set("--dir", &data).ok();
    for (folder, keys) in [(world.path("hub/data"), 6), (data.clone(), 7)] {
        let files: Vec<_> =
            fs::read_dir(folder.join("keys")).expect("keys").map(|file| file.expect("a file").path()).collect();
        assert_eq!(files.len(), keys, "{files:?}");
        for file in files {
            let bytes = fs::read(&file).expect("a key file");
            assert!(!bytes.starts_with(b"-----BEGIN"), "{} is PEM", file.display());
            // Prefix, purpose and seed.
            assert_ne!(bytes.len(), 44, "{} holds a bare seed", file.display());
        }
    }

    let officer =
        Ctl::new("keys init --officer 1 --no-passphrase").set("--officer-key", world.path("officer.key")).json();
    let listen = fs::read_to_string(&relay).expect("relay.toml");
    let address = listen.lines().find_map(|line| line.strip_prefix("listen = ")).expect("listen");
    let config = world.path("node.toml");
    let node = format!(
        "participant = \"XA\"\ndata-dir = {data:?}\napi-socket = {:?}\nhub-addresses = [{address}]\n\
         passphrase-credential = \"ncp-passphrase\"\n[[officers]]\nnumber = 1\nuid = 0\npublic-key = \"{}\"\nroles = [\"drafter\"]\n",
        world.path("node.sock"),
        text(&officer, "public_key"),
    );
    fs::write(&config, node).expect("written");
    let ended = refused(Program::Node, &config, &[]);
    assert!(ended.log.contains("CREDENTIALS_DIRECTORY is not set"), "{}", ended.log);
    let node = Supervised::start(Program::Node, &config, &world.environment());
    node.until("READY=1");
    // A reload reads the sealed TLS key again.
    for daemon in [&node, &hub] {
        daemon.forget();
        daemon.daemon.signal(Signal::HUP);
        daemon.until("RELOADING=1");
        let words = daemon.until("READY=1");
        assert!(!words.iter().any(|word| word.contains("not reloaded")), "{words:?}");
    }
    assert!(node.stop().status.success());
    assert!(hub.stop().status.success());
}
