//! Bare `ncpctl`: what needs this officer now, most pressing first, in three lines.

use ncp_api::health::{HubLink, Me, Need, NeedKind};

use crate::clock::{Clock, span};
use crate::context::Context;
use crate::error::Error;
use crate::output::Report;
use crate::style::{Style, Tone};
use crate::table::plain_record;

/// Schema of its JSON.
pub(super) const SCHEMA: &str = "ncp.me/1";
/// Needs that have a line of their own; the rest is told in the last line.
const LINES: usize = 3;

pub(super) async fn run(context: &Context) -> Result<Report, Error> {
    let me = context.officer_client().await?.me().await?;
    let human = render(&me, &context.clock, context.output.style);
    let plain: String = me
        .needs
        .iter()
        .map(|need| plain_record([need.what.as_str(), need.count.to_string().as_str()].into_iter()))
        .collect();
    Ok(Report::object(SCHEMA, &me)?.human(human).plain(plain))
}

fn render(me: &Me, clock: &Clock, style: Style) -> String {
    let mut out = String::new();
    for need in me.needs.iter().take(LINES) {
        out.push_str(&need_line(need, clock, style));
        out.push('\n');
    }
    if me.needs.is_empty() {
        out.push_str("nothing needs you now\n");
    }
    let more = me.needs.len().saturating_sub(LINES);
    let more = if more > 0 { format!("; {more} more: ncpctl inbox") } else { String::new() };
    let tail = format!(
        "{}, officer {:02}: hub {}, {} in the outbox{more}",
        me.participant,
        me.officer,
        link(&me.hub, clock),
        me.outbox
    );
    out.push_str(&style.paint(Tone::Quiet, &tail));
    out.push('\n');
    out
}

/// The link in a few words.
pub(super) fn link(hub: &HubLink, clock: &Clock) -> String {
    let since = hub.since.map(|since| span(clock.now.millis_since(since)));
    match (hub.connected, since) {
        (true, Some(since)) => format!("connected for {since}"),
        (true, None) => "connected".to_owned(),
        (false, Some(since)) => format!("not connected for {since}"),
        (false, None) => "not connected".to_owned(),
    }
}

fn need_line(need: &Need, clock: &Clock, style: Style) -> String {
    let (tone, words, next) = words(need.what, need.count == 1);
    let due = match need.due {
        Some(due) if due < clock.now => format!(", overdue by {}", span(clock.now.millis_since(due))),
        Some(due) => format!(", due {}", clock.relative(due)),
        None => String::new(),
    };
    let first = need.first.first().map(ToString::to_string).unwrap_or_default();
    let next = next.replace("{}", &first);
    format!("{} {words}{due}   {}", style.paint(tone, &need.count.to_string()), next.trim_end())
}

fn words(what: NeedKind, single: bool) -> (Tone, &'static str, &'static str) {
    let pick = |one, many| if single { one } else { many };
    match what {
        NeedKind::Release => (
            Tone::Strong,
            pick("message waits for your approval", "messages wait for your approval"),
            "ncpctl release show {}",
        ),
        NeedKind::Rejected => (Tone::Warn, pick("draft came back to you", "drafts came back to you"), "ncpctl show {}"),
        NeedKind::Unread => (Tone::Strong, pick("message is unread", "messages are unread"), "ncpctl show {}"),
        NeedKind::DueSoon => (Tone::Warn, pick("answer is due soon", "answers are due soon"), "ncpctl respond {}"),
        NeedKind::Overdue => (Tone::Bad, pick("answer is overdue", "answers are overdue"), "ncpctl respond {}"),
        NeedKind::Contributions => {
            (Tone::Strong, pick("request has contributions", "requests have contributions"), "ncpctl show {}")
        }
        NeedKind::Failed => (Tone::Bad, pick("message failed", "messages failed"), "ncpctl status {}"),
        NeedKind::Holds => (Tone::Warn, pick("hold is in force", "holds are in force"), "ncpctl hold list"),
        NeedKind::Unpinned => (
            Tone::Warn,
            pick("participant has to be compared", "participants have to be compared"),
            "ncpctl directory list",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ncp_protocol::ids::UnixMillis;

    fn me(needs: Vec<Need>) -> Me {
        let hub =
            HubLink { address: "127.0.0.1:1".to_owned(), connected: true, since: Some(UnixMillis(0)), reason: None };
        Me { officer: 7, roles: Vec::new(), participant: "XA".parse().expect("id"), hub, outbox: 2, needs }
    }

    fn text(me: &Me) -> String {
        render(me, &Clock::at(UnixMillis(3_600_000)), Style::PLAIN)
    }

    #[test]
    fn the_most_pressing_needs_and_what_to_type() {
        let reference = "XB-2026-000003".parse().expect("reference");
        let overdue = Need { what: NeedKind::Overdue, count: 1, first: vec![reference], due: Some(UnixMillis(0)) };
        let release = Need { what: NeedKind::Release, count: 2, first: vec![reference], due: None };
        assert_eq!(
            text(&me(vec![overdue, release])),
            "1 answer is overdue, overdue by 1 h   ncpctl respond XB-2026-000003\n\
             2 messages wait for your approval   ncpctl release show XB-2026-000003\n\
             XA, officer 07: hub connected for 1 h, 2 in the outbox\n"
        );
    }

    #[test]
    fn nothing_is_said_in_words() {
        assert!(text(&me(Vec::new())).starts_with("nothing needs you now\n"));
    }
}
