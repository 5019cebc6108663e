//! Backups: taken beside daemons that work, sealed, tried out, put back, and never served from.
#![cfg(test)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use e2e::binaries::Program;
use e2e::ctl::{Ctl, Ran, text};
use e2e::messages::is_delivered;
use e2e::process::Daemon;
use e2e::{Network, Plan};
use ncp_api::ErrorCode;

const SUBJECT: &str = "the grey van at the northern border";

async fn network() -> Network {
    let network = Plan::of(&["XA", "XB"]).start().await;
    send(&network).await;
    network
}

/// A notice from XA that arrives, with a body of its own file.
async fn send(network: &Network) {
    let text = "a long text ".repeat(20_000);
    let reference = network.node("XA").notice(&["XB"], SUBJECT, &text).await;
    network.node("XA").until_state(reference, is_delivered).await;
}

/// A keeper's folder with its key.
fn keeper(network: &Network, name: &str) -> PathBuf {
    let folder = network.folder().join(name);
    let _ = Ctl::new("backup key").set("--dir", &folder).ok();
    folder
}

fn create(data: &Path, keeper: &Path, out: &Path) -> Ran {
    Ctl::new("backup create --json").set("--dir", data).set("--to", keeper.join("backup.pub")).set("--out", out).run()
}

fn verify(file: &Path, keeper: &Path) -> Ran {
    Ctl::new("backup verify --json").with(file).set("--key", keeper).run()
}

fn is_problem(ran: &Ran, code: ErrorCode, exit: i32) {
    assert_eq!(ran.code, exit, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stderr.contains(&code.to_string()), "{code}: {}", ran.stderr);
}

fn holds(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

#[tokio::test]
async fn copies_beside_daemons_at_work_are_whole_and_sealed() {
    let network = network().await;
    let keeper = keeper(&network, "keeper");
    let data = [network.node("XA").data(), network.node("XB").data(), network.relay().data()];
    let backups = network.folder().join("backups");
    fs::create_dir(&backups).expect("a folder");
    let taking = tokio::task::spawn_blocking({
        let (data, keeper, backups) = (data.clone(), keeper.clone(), backups.clone());
        move || -> Vec<Vec<Ran>> {
            let round = |number: usize| {
                let take = |(place, folder): (usize, &PathBuf)| {
                    create(folder, &keeper, &backups.join(format!("{place}-{number}"))).expect_code(0)
                };
                data.iter().enumerate().map(take).collect()
            };
            (0..4).map(round).collect()
        }
    });
    // Mail goes on as long as copies are taken.
    while !taking.is_finished() {
        send(&network).await;
    }
    let taken = taking.await.expect("copies are taken");

    let seed = fs::read(network.node("XA").data().join("keys/signing.key")).expect("a key");
    for (number, round) in taken.iter().enumerate() {
        for (place, made) in round.iter().enumerate() {
            let file = backups.join(format!("{place}-{number}"));
            let tried = verify(&file, &keeper).expect_code(0).json();
            let made = made.json();
            for member in ["participant", "network", "created", "next", "logs", "files"] {
                assert_eq!(tried[member], made[member], "{member} of {}", file.display());
            }
            let bytes = fs::read(&file).expect("the backup");
            assert_eq!(bytes.len(), usize::try_from(made["length"].as_u64().expect("a length")).expect("small"));
            assert!(!holds(&bytes, seed.get(12..).expect("a seed")), "a key lies open in {}", file.display());
            assert!(!holds(&bytes, SUBJECT.as_bytes()));
            assert_eq!(fs::metadata(&file).expect("a file").permissions().mode() & 0o777, 0o600);
        }
    }
    let next = |round: &[Ran]| round.iter().map(|made| made.json()["next"].as_u64()).collect::<Vec<_>>();
    assert!(next(taken.first().expect("the first")) < next(taken.last().expect("the last")), "the journals went on");
    let left: Vec<_> =
        fs::read_dir(&backups).expect("a folder").map(|file| file.expect("a file").file_name()).collect();
    assert_eq!(left.len(), 12, "nothing unfinished stays: {left:?}");
}

#[tokio::test]
async fn damage_another_key_and_a_taken_name_are_one_error_each() {
    let network = network().await;
    let (keeper, other) = (keeper(&network, "keeper"), keeper(&network, "other"));
    let file = network.folder().join("xa.ncp-backup");
    let _ = create(&network.node("XA").data(), &keeper, &file).expect_code(0);
    is_problem(&create(&network.node("XA").data(), &keeper, &file), ErrorCode::OutputExists, 65);
    let not_a_key = network.relay().config();
    let refused = Ctl::new("backup create")
        .set("--dir", network.relay().data())
        .set("--to", not_a_key)
        .set("--out", network.folder().join("none"))
        .run();
    is_problem(&refused, ErrorCode::FileUnusable, 74);
    is_problem(&verify(&file, &other), ErrorCode::BackupUnusable, 65);
    let good = fs::read(&file).expect("the backup");
    let bad = network.folder().join("bad");
    for place in [5, 100, good.len() / 2, good.len() - 1] {
        let mut bytes = good.clone();
        bytes[place] ^= 1;
        fs::write(&bad, bytes).expect("written");
        is_problem(&verify(&bad, &keeper), ErrorCode::BackupUnusable, 65);
    }
    // Cut off in its length, its wrap, its content.
    for length in [3, 500, good.len() / 2, good.len() - 1] {
        fs::write(&bad, good.get(..length).expect("shorter")).expect("written");
        is_problem(&verify(&bad, &keeper), ErrorCode::BackupUnusable, 65);
    }
    let mut longer = good;
    longer.push(0);
    fs::write(&bad, longer).expect("written");
    is_problem(&verify(&bad, &keeper), ErrorCode::BackupUnusable, 65);
}

#[tokio::test]
async fn what_is_put_back_is_the_folder_as_it_was_and_no_daemon_serves_from_it() {
    let network = network().await;
    let keeper = keeper(&network, "keeper");
    let parts = [
        (Program::Node, network.node("XA").data(), network.node("XA").config(), "XA"),
        (Program::Relay, network.relay().data(), network.relay().config(), "HUB"),
    ];
    for (program, data, config, participant) in parts {
        let (file, into) =
            (network.folder().join(participant), network.folder().join(format!("{participant}-restored")));
        let _ = create(&data, &keeper, &file).expect_code(0);
        let restore = || Ctl::new("backup restore").with(&file).set("--key", &keeper).set("--dir", &into);
        is_problem(&restore().run(), ErrorCode::ConfirmationNeeded, 2);
        is_problem(&restore().with("--confirm=XB").run(), ErrorCode::ConfirmationNeeded, 2);
        let _ = restore().with("--dry-run").ok();
        assert!(!into.exists(), "a trial leaves nothing");
        let confirmed = || restore().with(format!("--confirm={participant}"));
        let made = confirmed().json();
        assert_eq!(text(&made, "participant"), participant);
        is_problem(&confirmed().run(), ErrorCode::DataFolderUnusable, 78);

        for folder in ["keys", "network"] {
            for entry in fs::read_dir(data.join(folder)).expect("a folder") {
                let name = Path::new(folder).join(entry.expect("a file").file_name());
                let (before, after) =
                    (fs::read(data.join(&name)).expect("a file"), fs::read(into.join(&name)).expect("a file"));
                assert_eq!(before, after, "{}", name.display());
            }
        }
        assert_eq!(fs::metadata(&into).expect("a folder").permissions().mode() & 0o777, 0o700);
        let _ = Ctl::new("audit verify").with(&into).ok();

        // The daemon that it belongs to stands still, so that nothing but the mark is in the way.
        if program == Program::Node {
            assert!(network.node("XA").stop().status.success());
        } else {
            assert!(network.relay().stop().status.success());
        }
        let lines = fs::read_to_string(&config).expect("a configuration");
        let moved = config.with_extension("restored.toml");
        fs::write(&moved, lines.replace(data.to_str().expect("text"), into.to_str().expect("text"))).expect("written");
        let ended = Daemon::start(program, &moved).expect_err("it does not serve");
        assert_eq!(ended.code(), Some(78), "{}", ended.log);
        assert!(ended.log.contains(&ErrorCode::DataFolderRestored.to_string()), "{}", ended.log);
        let again = Ctl::new("audit verify --json").with(&into).ok().json();
        assert_eq!(again["logs"][0]["size"], made["logs"][0]["size"], "the start wrote nothing");
    }
}
