//! SIGHUP: configuration, certificates and own keys are read again and take force together, or nothing changes.
//!
//! What a running daemon takes up are the [`Settings`], certificate and authority with the key that the directory pins, and
//! what `ncpctl keys rotate` made: connections that begin from then on use them, the link that stands goes on. Rules are
//! put into the journal before they take force, so a draft judged by the old ones meanwhile is refused as judged by rules
//! that changed. What waits for a restart keeps its old value and is named. A file that is wrong changes nothing: one line
//! in the log says why, and so does the status.

use std::path::Path;
use std::sync::Arc;

use ncp_api::{ErrorCode, Fault};
use ncp_protocol::directory::Entry;
use ncp_store::keyfiles;
use ncp_transport::tls::TlsSettings;

use crate::clock;
use crate::config::{Config, Settings};
use crate::keys::{self, Own};
use crate::node::Node;
use crate::start;

/// What a reload changed.
struct TakenUp {
    /// Keys of the configuration that have a new value in force.
    changed: Vec<&'static str>,
    /// Keys whose new value waits for a restart.
    waiting: Vec<&'static str>,
    certificate_until: ncp_api::time::Time,
    /// Version of the newest own entry in the data folder.
    entry: u32,
}

/// Everything that was read and is good.
struct Read {
    config: Config,
    own: Own,
    tls: TlsSettings,
}

/// Reads `file` and the certificates again.
///
/// # Errors
/// Everything that is wrong with them; all stays as it was.
pub async fn reload(node: &Arc<Node>, file: &Path) -> Result<(), Vec<Fault>> {
    let read = read(node, file).await?;
    let taken_up = take_up(node, read).await.map_err(|fault| vec![fault])?;
    let TakenUp { changed, waiting, certificate_until, entry } = taken_up;
    tracing::info!(?changed, wait_for_restart = ?waiting, %certificate_until, entry, "reloaded");
    Ok(())
}

/// Reads and checks everything; nothing changes.
async fn read(node: &Arc<Node>, file: &Path) -> Result<Read, Vec<Fault>> {
    let file = file.to_owned();
    let read = move |node: &Node| {
        let config = Config::load(&file)?;
        let checked = || {
            start::stay_on_this_machine(&config, node.network.class())?;
            let own = node.read_own()?;
            let tls = certificates(node, own.chain.entry())?;
            Ok((own, tls))
        };
        let (own, tls) = checked().map_err(|fault| vec![fault])?;
        Ok(Read { config, own, tls })
    };
    node.blocking(read).await
}

/// Takes up a certificate over another TLS key than the one that serves, if one was installed and nobody said so: the hub
/// may pin the old key no longer. Blocks on the disk.
///
/// # Errors
/// A fault that names the file; all stays as it was.
pub(crate) fn take_up_certificate(node: &Node) -> Result<bool, Fault> {
    let own = node.read_own_again()?;
    let tls = certificates(node, own.chain.entry())?;
    if tls.own().certificate_key == node.keys.tls.load().own().certificate_key {
        return Ok(false);
    }
    tracing::info!(until = %ncp_api::time::Time(tls.own().expires), "a certificate over another key was installed: it serves");
    node.keys.tls.replace(tls);
    Ok(true)
}

/// Certificates that have changed must be good now; those in force may have expired meanwhile.
fn certificates(node: &Node, entry: &Entry) -> Result<TlsSettings, Fault> {
    let tls = keys::load_tls(&node.config.data_dir, &node.keys.keyring, entry)?;
    if tls.own() != node.keys.tls.load().own() {
        tls.check_own(clock::now()).map_err(|error| {
            let folder = node.config.data_dir.join(keyfiles::NETWORK);
            ErrorCode::FileUnusable.with("file", folder.join("tls*.crt").display()).with("reason", error)
        })?;
    }
    Ok(tls)
}

async fn take_up(node: &Arc<Node>, Read { config, own, tls }: Read) -> Result<TakenUp, Fault> {
    let (changed, waiting) = (changed(&node.settings(), &config.settings), waiting(&node.config, &config));
    start::bring_rules_into_force(node, &config.settings.rules).await?;
    node.settings.store(Arc::new(config.settings));
    let certificate_until = ncp_api::time::Time(tls.own().expires);
    let entry = own.chain.entry().version;
    node.own.store(Arc::new(own));
    node.keys.tls.replace(tls);
    // A link that the hub restricts, perhaps for the old certificate, begins anew.
    node.hints.directory.send_modify(|count| *count = count.wrapping_add(1));
    Ok(TakenUp { changed, waiting, certificate_until, entry })
}

/// Keys whose value differs and takes force.
fn changed(old: &Settings, new: &Settings) -> Vec<&'static str> {
    // Taken apart, so that a new setting cannot be forgotten here.
    let Settings { hub_addresses, proxy, officer_names_file, rules, rule_texts, services, limits, metrics_peers } = old;
    let differs = [
        ("hub-addresses", *hub_addresses != new.hub_addresses),
        ("proxy", *proxy != new.proxy),
        ("officer-names-file", *officer_names_file != new.officer_names_file),
        ("allow", *rules != new.rules || *rule_texts != new.rule_texts),
        ("services", *services != new.services),
        ("metrics-peers", *metrics_peers != new.metrics_peers),
        ("lifetime-days", limits.lifetime_days != new.limits.lifetime_days),
        ("blob-max-mebibytes", limits.blob_max_bytes != new.limits.blob_max_bytes),
        ("blobs-max-mebibytes", limits.blobs_max_bytes != new.limits.blobs_max_bytes),
        ("ballast-mebibytes", limits.ballast_bytes != new.limits.ballast_bytes),
        ("free-min-mebibytes", limits.free_min_bytes != new.limits.free_min_bytes),
        ("idle-timeout-seconds", limits.idle_timeout != new.limits.idle_timeout),
    ];
    differing(&differs)
}

/// Keys whose value differs and waits for a restart. Officers do not: after the first start the file's are never read.
fn waiting(old: &Config, new: &Config) -> Vec<&'static str> {
    let Config {
        file: _,
        participant,
        data_dir,
        passphrase_credential,
        api_socket,
        officers: _,
        log_format,
        settings: _,
    } = old;
    let differs = [
        ("participant", *participant != new.participant),
        ("data-dir", *data_dir != new.data_dir),
        ("passphrase-credential", *passphrase_credential != new.passphrase_credential),
        ("api-socket", *api_socket != new.api_socket),
        ("log-format", *log_format != new.log_format),
    ];
    differing(&differs)
}

fn differing(keys: &[(&'static str, bool)]) -> Vec<&'static str> {
    keys.iter().filter(|(_, differs)| *differs).map(|(key, _)| *key).collect()
}
