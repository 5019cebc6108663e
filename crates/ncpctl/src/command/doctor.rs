//! `doctor`: all checks with their cause and remedy; fails if one of them does. Needs no officer key.

use std::str::FromStr;

use clap::{Args, ValueEnum};
use ncp_api::Exit;
use ncp_api::health::{Check, CheckResult};

use crate::context::Context;
use crate::error::Error;
use crate::output::Report;
use crate::style::{Style, Tone, clean};
use crate::table::plain_record;

/// Schema of its JSON.
pub(super) const SCHEMA: &str = "ncp.doctor/1";

const EXAMPLES: &str = "\
Examples:
  ncpctl doctor
  ncpctl doctor --only connection,national
  ncpctl doctor --only K03";

/// Check configuration, keys, connection, storage and rules
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Doctor {
    /// Only these groups or checks, such as keys or K03; commas separate them
    #[arg(long, value_name = "GROUPS", value_delimiter = ',')]
    only: Vec<Only>,
}

/// A group of checks, or one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Only {
    Group(Group),
    Check(String),
}

impl Only {
    fn holds(&self, check: &Check) -> bool {
        match self {
            Self::Group(group) => check.id.starts_with(group.letter()),
            Self::Check(id) => check.id == *id,
        }
    }
}

impl FromStr for Only {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(group) = Group::from_str(text, true) {
            return Ok(Self::Group(group));
        }
        let id = text.to_ascii_uppercase();
        let (letter, number) = id.split_at_checked(1).unwrap_or_default();
        if "CKNSPI".contains(letter) && number.len() == 2 && number.bytes().all(|digit| digit.is_ascii_digit()) {
            return Ok(Self::Check(id));
        }
        let groups: Vec<_> = Group::value_variants().iter().filter_map(ValueEnum::to_possible_value).collect();
        let groups: Vec<_> = groups.iter().map(clap::builder::PossibleValue::get_name).collect();
        Err(format!("neither a group ({}) nor a check such as K03", groups.join(", ")))
    }
}

/// A group of checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Group {
    /// C.
    Configuration,
    /// K.
    Keys,
    /// N.
    Connection,
    /// S.
    Storage,
    /// P.
    Policy,
    /// I.
    National,
}

impl Group {
    fn letter(self) -> char {
        match self {
            Self::Configuration => 'C',
            Self::Keys => 'K',
            Self::Connection => 'N',
            Self::Storage => 'S',
            Self::Policy => 'P',
            Self::National => 'I',
        }
    }
}

impl Doctor {
    pub(super) async fn run(self, context: &Context) -> Result<Report, Error> {
        let mut checks = context.client().doctor().await?.checks;
        if !self.only.is_empty() {
            checks.retain(|check| self.only.iter().any(|only| only.holds(check)));
        }
        let failed = checks.iter().any(|check| check.result == CheckResult::Fail);
        let plain: String = checks
            .iter()
            .map(|check| {
                let cause = check.cause.as_deref().unwrap_or_default();
                plain_record([check.id.as_str(), check.result.as_str(), check.title.as_str(), cause].into_iter())
            })
            .collect();
        let human = render(&checks, context.output.style);
        let exit = if failed { Exit::Failed } else { Exit::Done };
        Ok(Report::lines(SCHEMA, &checks)?.human(human).plain(plain).exit(exit))
    }
}

fn render(checks: &[Check], style: Style) -> String {
    let (mut out, mut group) = (String::new(), "");
    for check in checks {
        if check.group() != group {
            group = check.group();
            out.push_str(&format!("{}\n", style.paint(Tone::Strong, group)));
        }
        out.push_str(&check_lines(check, style));
    }
    let count = |result: CheckResult| checks.iter().filter(|check| check.result == result).count();
    let failures = count(CheckResult::Fail);
    let mut parts = vec![format!("{} ok", count(CheckResult::Ok))];
    for (number, one, many) in [
        (failures, "failure", "failures"),
        (count(CheckResult::Warn), "warning", "warnings"),
        (count(CheckResult::Unset), "not configured", "not configured"),
    ] {
        if number > 0 {
            parts.push(format!("{number} {}", if number == 1 { one } else { many }));
        }
    }
    out.push_str(&parts.join(", "));
    out.push('\n');
    out
}

/// A check: result, id, title, and below it why and what to do.
pub(super) fn check_lines(check: &Check, style: Style) -> String {
    let (tone, word) = match check.result {
        CheckResult::Ok => (Tone::Good, "ok  "),
        CheckResult::Warn => (Tone::Warn, "warn"),
        CheckResult::Fail => (Tone::Bad, "fail"),
        CheckResult::Unset => (Tone::Quiet, "—   "),
    };
    let time = check.millis.map(|millis| format!("  {millis} ms")).unwrap_or_default();
    let mut out = format!("  {}  {:3}  {}{time}\n", style.paint(tone, word), check.id, clean(&check.title));
    for (label, text) in [("cause:", &check.cause), ("try:  ", &check.remedy)] {
        if let Some(text) = text {
            out.push_str(&format!("              {label} {}\n", clean(text)));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(id: &str, result: CheckResult) -> Check {
        let failed = result == CheckResult::Fail;
        Check {
            id: id.to_owned(),
            title: "a title".to_owned(),
            result,
            code: None,
            cause: failed.then(|| "nothing listens".to_owned()),
            remedy: failed.then(|| "start it".to_owned()),
            millis: Some(41),
        }
    }

    #[test]
    fn groups_and_single_checks_are_chosen() {
        let of = |text: &str| text.parse::<Only>();
        let check = check("K03", CheckResult::Ok);
        for (text, holds) in [("keys", true), ("k03", true), ("K03", true), ("K04", false), ("storage", false)] {
            assert_eq!(of(text).map(|only| only.holds(&check)), Ok(holds), "{text}");
        }
        for text in ["", "K", "K3", "X03", "K033", "key"] {
            assert!(of(text).is_err(), "{text}");
        }
    }

    #[test]
    fn checks_stand_in_groups_with_cause_and_remedy() {
        let checks = [check("N03", CheckResult::Ok), check("I01", CheckResult::Unset), check("I03", CheckResult::Fail)];
        assert_eq!(
            render(&checks, Style::PLAIN),
            "connection\n  ok    N03  a title  41 ms\nnational systems\n  —     I01  a title  41 ms\n  fail  I03  a title  41 ms\n              cause: nothing listens\n              try:   start it\n1 ok, 1 failure, 1 not configured\n"
        );
    }
}
