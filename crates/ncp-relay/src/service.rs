//! The hub as a service of its machine: how [`ncp_service`] asks it.

use std::path::Path;
use std::sync::Arc;

use ncp_api::{ErrorCode, Fault};
use ncp_protocol::ids::LogName;
use ncp_service::Daemon;
use ncp_service::pulse::Pulse;
use ncp_store::committer::Stopped;
use tokio_util::sync::CancellationToken;

use crate::checks;
use crate::hub::Hub;
use crate::reload;
use crate::start::Running;

impl Daemon for Hub {
    fn pulse(&self) -> &Pulse {
        &self.pulse
    }

    fn stopping(&self) -> &CancellationToken {
        &self.stopping
    }

    fn stop_because(&self, fault: Fault) {
        self.fail_with(fault);
    }

    fn status(&self) -> String {
        let address = self.listening.get().copied().unwrap_or(self.config.listen);
        let size = |log| self.store.reader().checkpoint(log).map_or(0, |newest| newest.checkpoint().size);
        let (links, events) = (self.links.standing(), size(LogName::Traffic).saturating_add(size(LogName::Public)));
        format!("serves on {address}, {links} links, {events} events")
    }

    fn sign_canary(&self) -> Result<(), Fault> {
        checks::sign_canary(self)
    }

    async fn prove_progress(&self) -> Result<(), Fault> {
        let sync = self.store.prove_progress().await.map_err(|Stopped| ErrorCode::ShuttingDown.fault())?;
        self.metrics.syncs.observe(sync.as_secs_f64());
        Ok(())
    }

    fn api_socket(&self) -> &Path {
        &self.config.api_socket
    }

    async fn reload(self: &Arc<Self>, file: &Path) -> Result<(), Vec<Fault>> {
        reload::reload(self, file).await
    }
}

impl ncp_service::Running for Running {
    type Daemon = Hub;

    fn daemon(&self) -> &Arc<Hub> {
        &self.hub
    }

    async fn stop(self) -> Result<(), Fault> {
        Self::stop(self).await
    }
}
