//! The units that are shipped: hardened, accepted by systemd, and wide enough for what the daemons do. What needs systemd's
//! or strace's own programs runs where they are installed, and says so where they are not.
#![cfg(test)]

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use e2e::binaries::{Program, top};
use e2e::{Network, Plan};
use rustix::process::{Pid, Signal, kill_process};

const DAEMONS: [Program; 2] = [Program::Node, Program::Relay];

/// What timers start, once for each daemon.
const JOBS: [&str; 2] = ["ncp-backup@", "ncp-audit-verify@"];

fn unit(program: Program) -> PathBuf {
    top().join("packaging/systemd").join(format!("{}.service", program.name()))
}

/// What a program of the system says; none, told on standard error, where it is not installed.
fn installed(program: &str, arguments: &[&str]) -> Option<Output> {
    match Command::new(program).args(arguments).stdin(Stdio::null()).output() {
        Ok(output) => Some(output),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let _ = writeln!(std::io::stderr(), "not run: {program} is not installed");
            None
        }
        Err(error) => panic!("{program}: {error}"),
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn exposure_is_at_most_one_and_a_half() {
    let jobs = JOBS.iter().map(|job| top().join(format!("packaging/systemd/{job}.service")));
    for file in DAEMONS.map(unit).into_iter().chain(jobs) {
        let arguments = ["security", "--offline=true", "--threshold=15", "--no-pager", &file.display().to_string()];
        let Some(checked) = installed("systemd-analyze", &arguments) else { return };
        assert!(checked.status.success(), "{}", text(&checked));
    }
}

#[test]
fn systemd_accepts_every_line() {
    let folder = e2e::folder::fresh();
    for program in DAEMONS {
        // With the program that was built, and without the manual that is installed elsewhere.
        let lines = fs::read_to_string(unit(program)).expect("the unit");
        let installed_at = format!("/usr/bin/{}", program.name());
        assert!(lines.contains(&format!("ExecStart={installed_at} ")));
        let lines = lines.replace(&installed_at, &program.path().display().to_string());
        let lines: Vec<_> = lines.lines().filter(|line| !line.starts_with("Documentation=")).collect();
        let file = folder.path().join(format!("{}.service", program.name()));
        fs::write(&file, lines.join("\n")).expect("written");
        let arguments = ["verify", "--man=no", &file.display().to_string()];
        let Some(checked) = installed("systemd-analyze", &arguments) else { return };
        let about = text(&checked);
        let complaints: Vec<_> = about.lines().filter(|line| line.contains(program.name())).collect();
        assert!(checked.status.success() && complaints.is_empty(), "{about}");
    }
}

#[test]
fn systemd_accepts_the_timers_and_what_they_start_are_commands() {
    let folder = e2e::folder::fresh();
    for job in JOBS {
        for kind in ["service", "timer"] {
            let lines = fs::read_to_string(top().join(format!("packaging/systemd/{job}.{kind}"))).expect("a unit");
            // For one daemon, with the program that was built, and without the manual that is installed elsewhere.
            let lines = lines.replace("/usr/bin/ncpctl", &Program::Ctl.path().display().to_string());
            let lines: Vec<_> = lines.lines().filter(|line| !line.starts_with("Documentation=")).collect();
            if let Some(words) = lines.iter().find_map(|line| line.strip_prefix("ExecStart=")) {
                let asked = Command::new(Program::Ctl.path()).args(words.split(' ').skip(1)).output().expect("it runs");
                assert_ne!(asked.status.code(), Some(2), "{words}: {}", text(&asked));
            }
            fs::write(folder.path().join(format!("{job}node.{kind}")), lines.join("\n")).expect("written");
        }
        let [service, timer] = ["service", "timer"].map(|kind| folder.path().join(format!("{job}node.{kind}")));
        let arguments = ["verify", "--man=no", &service.display().to_string(), &timer.display().to_string()];
        let Some(checked) = installed("systemd-analyze", &arguments) else { return };
        let about = text(&checked);
        assert!(checked.status.success() && !about.contains(job), "{about}");
    }
}

#[test]
fn what_breaks_peer_credentials_or_checks_twice_is_not_there() {
    for program in DAEMONS {
        let lines = fs::read_to_string(unit(program)).expect("the unit");
        let directives: Vec<_> = lines.lines().filter(|line| !line.starts_with('#')).collect();
        for never in ["PrivateUsers=", "DynamicUser=", "ExecStartPre=", "EnvironmentFile=", "SupplementaryGroups="] {
            assert!(!directives.iter().any(|line| line.starts_with(never)), "{never} in {}", program.name());
        }
        // Never a secret: whoever may look at a unit reads its environment.
        let environment: Vec<_> = directives.iter().filter(|line| line.starts_with("Environment")).collect();
        assert_eq!(environment, [&"Environment=MALLOC_ARENA_MAX=2"], "{}", program.name());
        for always in ["Type=notify", "NotifyAccess=main", "WatchdogSec=30s", "User=ncp", "Group=ncp-api", "UMask=0077"]
        {
            assert!(directives.contains(&always), "{always} in {}", program.name());
        }
    }
}

#[test]
fn user_group_and_folders_are_made_from_nothing() {
    let root = e2e::folder::fresh();
    let root = root.path().display().to_string();
    let file = |name: &str| top().join("packaging").join(name).display().to_string();
    for folder in ["etc", "var/lib", "var/spool", "var/backups"] {
        fs::create_dir_all(Path::new(&root).join(folder)).expect("a folder");
    }
    let arguments = [format!("--root={root}"), file("sysusers.d/ncp.conf")];
    let Some(made) = installed("systemd-sysusers", &arguments.each_ref().map(String::as_str)) else { return };
    assert!(made.status.success(), "{}", text(&made));
    let group = fs::read_to_string(Path::new(&root).join("etc/group")).expect("groups");
    assert!(group.lines().any(|line| line.starts_with("ncp-api:") && line.ends_with(":ncp")), "{group}");
    let users = fs::read_to_string(Path::new(&root).join("etc/passwd")).expect("users");
    assert!(users.lines().any(|line| line.starts_with("ncp:") && line.contains("nologin")), "{users}");
    if !rustix::process::geteuid().is_root() {
        let _ = writeln!(std::io::stderr(), "not run: folders of another user are made by root alone");
        return;
    }
    let arguments = ["--create".to_owned(), format!("--root={root}"), file("tmpfiles.d/ncp.conf")];
    let Some(made) = installed("systemd-tmpfiles", &arguments.each_ref().map(String::as_str)) else { return };
    assert!(made.status.success(), "{}", text(&made));
    let spool = fs::metadata(Path::new(&root).join("var/spool/ncp")).expect("the spool of national systems");
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&spool.permissions()) & 0o7777, 0o750);
    let backups = fs::metadata(Path::new(&root).join("var/backups/ncp")).expect("the place of backups");
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&backups.permissions()) & 0o7777, 0o700);
}

/// The system calls of a filter's group, and of the groups within it.
fn calls(group: &str, found: &mut BTreeSet<String>) -> bool {
    let Some(listed) = installed("systemd-analyze", &["syscall-filter", "--no-pager", group]) else { return false };
    assert!(listed.status.success(), "{}", text(&listed));
    for line in String::from_utf8_lossy(&listed.stdout).lines().skip(1).map(str::trim) {
        if line.starts_with('@') {
            calls(line, found);
        } else if !line.is_empty() && !line.starts_with('#') {
            found.insert(line.to_owned());
        }
    }
    true
}

/// A daemon's life under strace: the names of the system calls that it made.
fn traced(network: &Network, program: Program, config: &Path) -> Option<BTreeSet<String>> {
    let out = network.folder().join(format!("{}.strace", program.name()));
    installed("strace", &["--version"])?;
    let notify = network.folder().join(format!("{}.notify", program.name()));
    let socket = std::os::unix::net::UnixDatagram::bind(&notify).expect("a socket");
    socket.set_read_timeout(Some(e2e::PATIENCE)).expect("a timeout");
    // With -D the daemon itself is the child.
    let mut child = Command::new("strace")
        .args(["-D", "-f", "-qq", "-o"])
        .arg(&out)
        .arg(program.path())
        .arg("--config")
        .arg(config)
        .env("NOTIFY_SOCKET", &notify)
        .stderr(Stdio::null())
        .spawn()
        .expect("strace starts");
    let until = |word: &str| {
        let mut bytes = [0; 4096];
        loop {
            let length = socket.recv(&mut bytes).expect("the daemon tells how it stands");
            if String::from_utf8_lossy(&bytes[..length]).lines().any(|line| line.starts_with(word)) {
                return;
            }
        }
    };
    until("READY=1");
    let pid = Pid::from_child(&child);
    kill_process(pid, Signal::HUP).expect("it runs");
    until("RELOADING=1");
    until("READY=1");
    kill_process(pid, Signal::TERM).expect("it runs");
    assert!(child.wait().expect("it ends").success());
    let lines = fs::read_to_string(&out).expect("strace wrote");
    let name = |line: &str| {
        let call = line.split_whitespace().nth(1)?;
        Some(call.split('(').next()?.to_owned()).filter(|name| call.contains('(') && !name.starts_with('<'))
    };
    // A thread that ends with the process may be caught without a name of its call.
    Some(lines.lines().filter_map(name).filter(|name| name != "???").collect())
}

#[tokio::test]
async fn the_filter_lets_every_system_call_of_a_life_through() {
    let (mut allowed, mut denied) = (BTreeSet::new(), BTreeSet::new());
    if !calls("@system-service", &mut allowed) {
        return;
    }
    calls("@privileged", &mut denied);
    calls("@resources", &mut denied);
    let network = Plan::of(&["XB"]).start().await;
    assert!(network.node("XB").stop().status.success());
    assert!(network.relay().stop().status.success());
    for (program, config) in [(Program::Relay, network.relay().config()), (Program::Node, network.node("XB").config())]
    {
        let Some(made) = traced(&network, program, &config) else { return };
        assert!(made.contains("fdatasync") && made.contains("sendto"), "it was traced: {made:?}");
        let refused: Vec<_> = made.iter().filter(|call| denied.contains(*call) || !allowed.contains(*call)).collect();
        assert!(refused.is_empty(), "{} makes {refused:?}", program.name());
    }
}
