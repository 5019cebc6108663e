//! The node as a service of its machine: how [`ncp_service`] asks it.

use std::path::Path;
use std::sync::Arc;

use ncp_api::{ErrorCode, Fault};
use ncp_protocol::ids::LogName;
use ncp_service::Daemon;
use ncp_service::pulse::Pulse;
use ncp_store::committer::Stopped;
use tokio_util::sync::CancellationToken;

use crate::checks;
use crate::node::Node;
use crate::reload;
use crate::start::Running;

impl Daemon for Node {
    fn pulse(&self) -> &Pulse {
        &self.pulse
    }

    fn stopping(&self) -> &CancellationToken {
        &self.stopping
    }

    fn stop_because(&self, fault: Fault) {
        Self::stop_because(self, fault);
    }

    fn status(&self) -> String {
        let link = self.link.borrow();
        let link = match (&link.failure, link.connected) {
            (_, true) => format!("linked to the hub at {}", link.address),
            (Some(fault), false) => format!("no link to the hub ({})", fault.code),
            (None, false) => "no link to the hub yet".to_owned(),
        };
        let events = self.reader().checkpoint(LogName::Node).map_or(0, |newest| newest.checkpoint().size);
        format!("{} serves, {link}, {events} events", self.participant())
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
    type Daemon = Node;

    fn daemon(&self) -> &Arc<Node> {
        &self.node
    }

    async fn stop(self) -> Result<(), Fault> {
        Self::stop(self).await
    }
}
