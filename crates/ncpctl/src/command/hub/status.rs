//! `hub status`: the relay as its operator sees it.

use clap::Args;
use ncp_api::hub::{HubPeer, HubStatus};

use crate::context::Context;
use crate::error::Error;
use crate::output::{Facts, Report};
use crate::style::{Tone, bytes, number};
use crate::table::{Cell, Table};

pub(super) const SCHEMA: &str = "ncp.hub-status/1";

const EXAMPLES: &str = "\
Examples:
  ncpctl hub status
  ncpctl hub status --node hub/api.sock --json=peers";

/// Who is connected and what waits.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Status {}

impl Status {
    /// Does it.
    pub(super) async fn run(self, context: &Context) -> Result<Report, Error> {
        let status = context.relay_client().hub_status().await?;
        let peers = table(&status, context);
        let head = facts(&status, context).render(context.output.style);
        Ok(Report::object(SCHEMA, &status)?
            .human(format!("{head}\n{}", peers.render(context.output.style)))
            .plain(peers.plain()))
    }
}

fn facts(status: &HubStatus, context: &Context) -> Facts {
    let mut facts = Facts::default();
    facts.add("relay", format!("{}, listening on {}", status.version, status.listen));
    facts.add("network", format!("{} ({})", status.network.label(), status.class));
    facts.add("up since", context.clock.minute(status.started));
    facts.add("logs", format!("traffic {}, public {}", number(status.traffic_size), number(status.public_size)));
    facts.add("membership", format!("version {}", status.membership_version));
    let timestamp = status.timestamp_until.map(|until| context.clock.relative(until));
    facts.add("timestamp", timestamp.map_or_else(|| "none yet".to_owned(), |rest| format!("ends {rest}")));
    facts
}

fn table(status: &HubStatus, context: &Context) -> Table {
    let mut table = Table::new(&["participant", "link", "since", "waiting", "size", "oldest", "last sent", "entry"]);
    for peer in &status.peers {
        let time = |time: Option<ncp_protocol::ids::UnixMillis>| {
            time.map_or_else(|| "—".to_owned(), |time| context.clock.relative(time))
        };
        table.row(vec![
            peer.participant.to_string().into(),
            link(peer),
            time(peer.since).into(),
            number(peer.waiting).into(),
            bytes(peer.waiting_bytes).into(),
            time(peer.oldest).into(),
            time(peer.last_accepted).into(),
            peer.entry_version.to_string().into(),
        ]);
    }
    table
}

fn link(peer: &HubPeer) -> Cell {
    match (&peer.suspended, peer.forked, peer.connected) {
        (Some(reason), _, _) => Cell::toned(Tone::Bad, format!("suspended: {reason}")),
        (None, Some(_), true) => Cell::toned(Tone::Bad, "up, log forked"),
        (None, Some(_), false) => Cell::toned(Tone::Bad, "down, log forked"),
        (None, None, true) => Cell::toned(Tone::Good, "up"),
        (None, None, false) => Cell::toned(Tone::Warn, "down"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ncp_protocol::directory::Fingerprint;
    use ncp_protocol::ids::{Digest, UnixMillis};

    fn peer() -> HubPeer {
        HubPeer {
            participant: "XA".parse().expect("an id"),
            connected: true,
            since: Some(UnixMillis(0)),
            waiting: 2,
            waiting_bytes: 2_048,
            oldest: None,
            last_accepted: None,
            entry_version: 0,
            fingerprint: Fingerprint(Digest([1; 32])),
            suspended: None,
            forked: None,
        }
    }

    #[test]
    fn a_suspension_and_a_fork_outweigh_a_link() {
        assert_eq!(link(&peer()), Cell::toned(Tone::Good, "up"));
        assert_eq!(link(&HubPeer { connected: false, ..peer() }), Cell::toned(Tone::Warn, "down"));
        let forked = HubPeer { forked: Some(UnixMillis(1)), ..peer() };
        assert_eq!(link(&forked), Cell::toned(Tone::Bad, "up, log forked"));
        let suspended = HubPeer { suspended: Some("key-compromise".parse().expect("a code")), ..peer() };
        assert_eq!(link(&suspended), Cell::toned(Tone::Bad, "suspended: key-compromise"));
    }
}
