//! Full and slow disks: new work is refused politely, evidence is still written, and it goes on by itself.
#![cfg(test)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use e2e::messages::{fresh_key, is_accepted, is_delivered, message, until};
use e2e::{Network, Node, Plan, folder, shim};
use ncp_api::ErrorCode;
use ncp_api::health::CheckResult;
use ncp_api::message::{Confirm, ConfirmStatus, MessageState};
use ncp_protocol::codes::Kind;
use ncp_protocol::ids::Reference;
use rustix::process::Signal;

/// Takes a message: R3.
async fn confirm(node: &Node, reference: Reference) {
    let confirm = Confirm { status: ConfirmStatus::Processed, national_ref: None, restriction_acknowledged: false };
    node.client(1).confirm(&reference.into(), &confirm).await.expect("an officer may take it");
}

/// Writes a file beside a node's configuration and has it taken up.
fn reload(node: &Node, free_min_mebibytes: u32) {
    let mut folder = node.config().into_os_string();
    folder.push(".d");
    let file = PathBuf::from(folder).join("10-full.toml");
    fs::write(file, format!("free-min-mebibytes = {free_min_mebibytes}\n")).expect("written");
    let mark = node.log().mark();
    node.signal(Signal::HUP);
    node.log().wait_for(mark, &["reloaded", "free-min-mebibytes"]);
}

#[tokio::test]
async fn a_node_whose_disk_is_nearly_full_refuses_work_states_evidence_and_goes_on_by_itself() {
    let network = Plan::of(&["XA", "XB"]).start().await;
    let (xa, xb) = (network.node("XA"), network.node("XB"));
    let before = xa.notice(&["XB"], "before", "it arrives").await;
    xb.until_received(before).await;
    // More than there is anywhere: as if the disk were full.
    reload(xb, 1 << 20);
    let during = xa.notice(&["XB"], "during", "it waits at the hub").await;
    xa.until_state(during, is_accepted).await;
    let refused = message(Kind::Notice, &["XA"], "refused", "no room");
    let error = xb.client(1).create(&refused, &fresh_key()).await.expect_err("refused");
    assert!(error.is(ErrorCode::DiskFull), "{error}");
    confirm(xb, before).await;
    xa.until_state(before, |state| state == MessageState::HandedOver).await;
    assert_eq!(xb.inbox().await, [before]);
    reload(xb, 16);
    eventually(xb, during).await;
    xa.until_state(during, is_delivered).await;
    xb.client(1).create(&refused, &fresh_key()).await.expect("room again");
}

/// Waits for what a pause between two attempts may keep back, a minute in all.
async fn eventually(node: &Node, reference: Reference) {
    for _ in 0..2 {
        let arrived = async {
            until(&node.client(1), "a delivery", || async { node.inbox().await.contains(&reference).then_some(()) })
                .await;
        };
        if tokio::time::timeout(e2e::PATIENCE - core::time::Duration::from_secs(5), arrived).await.is_ok() {
            return;
        }
    }
    panic!("{reference} does not arrive");
}

/// A small file system of memory over a data folder, until it is dropped.
struct Small(PathBuf);

impl Small {
    /// Moves a data folder to a file system of this size; `None` where nobody may mount one.
    fn over(data: &Path, mebibytes: u32) -> Option<Self> {
        let kept = data.with_extension("kept");
        folder::copy(data, &kept);
        let options = format!("size={mebibytes}m,mode=0700");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(data).output();
        if !mounted.is_ok_and(|mounted| mounted.status.success()) {
            return None;
        }
        let small = Self(data.to_owned());
        for entry in fs::read_dir(&kept).expect("copied").map(|entry| entry.expect("an entry")) {
            let to = data.join(entry.file_name());
            if entry.file_type().expect("a type").is_dir() {
                folder::copy(&entry.path(), &to);
            } else {
                fs::copy(entry.path(), &to).expect("copied");
            }
        }
        Some(small)
    }

    /// Fills it to the last byte.
    fn fill(&self) {
        let mut filler = fs::File::create(self.filler()).expect("made");
        let full = std::io::copy(&mut std::io::repeat(0), &mut filler).expect_err("it is small");
        assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    }

    fn free(&self) {
        fs::remove_file(self.filler()).expect("it is there");
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // Lazily: a daemon of a failed test may still be there.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).output();
    }
}

#[tokio::test]
async fn a_hub_whose_disk_is_full_to_the_last_byte_refuses_mail_takes_evidence_and_goes_on_by_itself() {
    let network = Plan::of(&["XA", "XB"]).start().await;
    let (xa, xb, relay) = (network.node("XA"), network.node("XB"), network.relay());
    let _ = relay.stop();
    let Some(small) = Small::over(&relay.data(), 160) else {
        e2e::tell("a full disk at the hub: did not run, as it needs root");
        return;
    };
    relay.start();
    let before = xa.notice(&["XB"], "before", "it arrives").await;
    xb.until_received(before).await;
    small.fill();
    let during = xa.notice(&["XB"], "during", "it waits at its node").await;
    until(&xa.client(1), "a refusal that is shown", || async {
        let timeline = xa.client(1).timeline(&during.into()).await.expect("known");
        timeline.refusals.iter().any(|refusal| refusal.name == "StoreFull").then_some(())
    })
    .await;
    let health = relay.client().health().await.expect("it answers");
    assert!(health.checks.iter().any(|check| check.id == "S01" && check.result != CheckResult::Ok));
    confirm(xb, before).await;
    xa.until_state(before, |state| state == MessageState::HandedOver).await;
    small.free();
    xb.until_received(during).await;
    xa.until_state(during, is_delivered).await;
    assert_eq!(xb.inbox().await, [before, during]);
    let _ = relay.stop();
    e2e::ctl::Ctl::new("audit verify").with(relay.data()).ok();
}

#[tokio::test]
async fn a_slow_disk_slows_service_and_raises_no_alarm() {
    let network = Plan::of(&["XA", "XB"]).start().await;
    let mut slow = shim::slow_disk(network.folder(), 300).to_vec();
    slow.push(("WATCHDOG_USEC", "30000000".into()));
    let (xa, xb) = (network.node("XA"), network.node("XB"));
    let _ = (xa.stop(), xb.stop(), network.relay().stop());
    network.relay().start_with(&slow);
    xa.start_with(&slow);
    xb.start_with(&slow);
    let mut sent = Vec::new();
    for number in 0..5 {
        sent.push(xa.notice(&["XB"], "slowly", &number.to_string()).await);
    }
    for reference in &sent {
        xb.until_received(*reference).await;
        confirm(xb, *reference).await;
        xa.until_state(*reference, |state| state == MessageState::HandedOver).await;
    }
    let logs = [network.relay().log(), xa.log(), xb.log()].map(|log| log.since(0).join("\n"));
    for log in logs {
        // Nobody listens where the watchdog's pings go, and links end as their daemons do.
        let alarms = log.lines().filter(|line| line.contains(" WARN ") || line.contains(" ERROR "));
        let alarms: Vec<_> = alarms.filter(|line| !line.contains("systemd") && !line.contains("link")).collect();
        assert_eq!(alarms, [""; 0], "{log}");
    }
    alarms(&network).await;
}

/// No check of any daemon complains.
async fn alarms(network: &Network) {
    for client in [network.relay().client(), network.node("XA").client(1), network.node("XB").client(1)] {
        let health = client.health().await.expect("it answers");
        let bad: Vec<_> = health.checks.iter().filter(|check| check.result == CheckResult::Fail).collect();
        assert!(health.ready && bad.is_empty(), "{bad:?}");
    }
}
