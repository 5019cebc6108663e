//! SIGHUP: the certificates are read again and take force, or nothing changes.
//!
//! What a running relay takes up is its certificate and the authority, with a key that the hub's entry names: handshakes
//! that begin from then on use them, links that stand go on. The configuration is read and checked too; what differs waits
//! for a restart and is named. A file that is wrong changes nothing: one line in the log says why, and so does the status.

use std::path::Path;
use std::sync::Arc;

use ncp_api::{ErrorCode, Fault};
use ncp_store::keyfiles;
use ncp_transport::tls::TlsSettings;

use crate::clock;
use crate::config::Config;
use crate::hub::Hub;
use crate::keys;

/// Reads `file` and the certificates again.
///
/// # Errors
/// Everything that is wrong with them; all stays as it was.
pub async fn reload(hub: &Arc<Hub>, file: &Path) -> Result<(), Vec<Fault>> {
    let (known, file) = (Arc::clone(hub), file.to_owned());
    let read = tokio::task::spawn_blocking(move || read(&known, &file)).await;
    let read = read.unwrap_or_else(|panic| Err(vec![ErrorCode::InternalFault.with("reason", panic)]));
    let (config, tls) = read?;
    let waiting = waiting(&hub.config, &config);
    let certificate_until = ncp_api::time::Time(tls.own().expires);
    hub.tls.replace(tls);
    tracing::info!(wait_for_restart = ?waiting, %certificate_until, "reloaded");
    Ok(())
}

/// Reads and checks everything; nothing changes.
fn read(hub: &Hub, file: &Path) -> Result<(Config, TlsSettings), Vec<Fault>> {
    let config = Config::load(file)?;
    let tls = certificates(hub).map_err(|fault| vec![fault])?;
    Ok((config, tls))
}

/// A certificate that has changed must be good now; the one in force may have expired meanwhile.
fn certificates(hub: &Hub) -> Result<TlsSettings, Fault> {
    let tls = keys::load_tls(&hub.config.data_dir, &hub.keyring, &hub.network)?;
    if tls.own() != hub.tls.load().own() {
        tls.check_own(clock::now()).map_err(|error| {
            let folder = hub.config.data_dir.join(keyfiles::NETWORK);
            ErrorCode::FileUnusable.with("file", folder.join("tls*.crt").display()).with("reason", error)
        })?;
    }
    Ok(tls)
}

/// Keys of the configuration whose value differs.
fn waiting(old: &Config, new: &Config) -> Vec<&'static str> {
    // Taken apart, so that a new key cannot be forgotten here.
    let Config {
        listen,
        data_dir,
        passphrase_credential,
        api_socket,
        quotas,
        envelopes_per_second,
        connections_max,
        idle_timeout,
        free_min_bytes,
        ballast_bytes,
        log_format,
        metrics_peers,
    } = old;
    let differs = [
        ("listen", *listen != new.listen),
        ("data-dir", *data_dir != new.data_dir),
        ("passphrase-credential", *passphrase_credential != new.passphrase_credential),
        ("api-socket", *api_socket != new.api_socket),
        ("quotas", *quotas != new.quotas || *envelopes_per_second != new.envelopes_per_second),
        ("connections-max", *connections_max != new.connections_max),
        ("idle-timeout-seconds", *idle_timeout != new.idle_timeout),
        ("free-min-mebibytes", *free_min_bytes != new.free_min_bytes),
        ("ballast-mebibytes", *ballast_bytes != new.ballast_bytes),
        ("log-format", *log_format != new.log_format),
        ("metrics-peers", *metrics_peers != new.metrics_peers),
    ];
    differs.iter().filter(|(_, differs)| *differs).map(|(key, _)| *key).collect()
}
