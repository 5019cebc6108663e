//! The officer table: shown, added to by two supervisors, and taken from by one.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use ncp_api::officer::{DisableOfficer, NewOfficer, Officer, OfficerAdded, Officers};
use ncp_api::{ErrorCode, Fault};
use ncp_protocol::event::Role;
use ncp_protocol::ids::OfficerNumber;

use super::ask;
use super::work::submit;
use crate::clock;
use crate::config::Settings;
use crate::core::command::{self, Ask};
use crate::core::tables::{OFFICER, OfficerRow};
use crate::core::taken;
use crate::faults::Failed;
use crate::node::Node;
use crate::officer_auth::{Repeats, officers};

pub(super) async fn list(State(node): State<Arc<Node>>, request: Request) -> Result<Response, Failed> {
    ask::reader(&node, request).await?;
    let table = node.blocking(table).await?;
    Ok(Json(table).into_response())
}

fn table(node: &Node) -> Result<Officers, Failed> {
    let names = names(node);
    let rows = officers(&node.reader().view())?;
    let officers = rows.into_iter().map(|(number, row)| shown(number, row, &names)).collect();
    Ok(Officers { officers, proposals: node.proposals.all() })
}

fn shown(number: OfficerNumber, row: OfficerRow, names: &BTreeMap<u16, String>) -> Officer {
    Officer {
        number: number.0,
        name: names.get(&number.0).cloned(),
        uid: row.uid,
        key: row.key,
        roles: row.roles.into_iter().map(Into::into).collect(),
        since: row.since,
        disabled: row.disabled,
    }
}

/// A table that cannot be read leaves officers without names; the log and `doctor` say so.
fn names(node: &Node) -> BTreeMap<u16, String> {
    officer_names(&node.settings()).unwrap_or_else(|fault| {
        tracing::warn!(cause = fault.cause(), "the table of officers' names cannot be read");
        BTreeMap::new()
    })
}

/// Names from the local table; none if no table is configured.
///
/// # Errors
/// [`ErrorCode::FileUnusable`].
pub(crate) fn officer_names(settings: &Settings) -> Result<BTreeMap<u16, String>, Fault> {
    let Some(file) = &settings.officer_names_file else { return Ok(BTreeMap::new()) };
    let table = std::fs::read_to_string(file).map_err(|error| error.to_string());
    let parsed = table
        .and_then(|text| toml::from_str::<BTreeMap<String, String>>(&text).map_err(|error| error.message().to_owned()));
    let names = parsed.map_err(|reason| ErrorCode::FileUnusable.with("file", file.display()).with("reason", reason))?;
    Ok(names.into_iter().filter_map(|(number, name)| Some((number.parse().ok()?, name))).collect())
}

pub(super) async fn add(State(node): State<Arc<Node>>, request: Request) -> Result<Response, Failed> {
    let asked = ask::signed(&node, request, Repeats::Refused).await?;
    asked.officer.require(Role::Supervisor, "adding an officer")?;
    let officer: NewOfficer = asked.json()?;
    check(&officer)?;
    let number = officer.number;
    let new = command::NewOfficer {
        number: OfficerNumber(number),
        key: officer.key,
        uid: officer.uid,
        roles: officer.roles.iter().copied().map(Into::into).collect(),
    };
    check_free(&node, &new)?;
    let Some(second) = node.proposals.agree(&officer, asked.officer.number, clock::now()) else {
        return Ok(Json(OfficerAdded { entered: false, needed: 1 }).into_response());
    };
    let ask = Ask::AddOfficer { officer: new, second };
    submit(&node, &asked.officer, ask, "adding an officer", &OfficerNumber(number)).await?;
    node.proposals.done(number);
    Ok(Json(OfficerAdded { entered: true, needed: 0 }).into_response())
}

fn check(officer: &NewOfficer) -> Result<(), Fault> {
    let malformed = |reason: &str, field: &'static str| ErrorCode::RequestMalformed.with("reason", reason).field(field);
    if officer.number == 0 {
        return Err(malformed("officers are numbered from 1", "number"));
    }
    if officer.roles.is_empty() {
        return Err(malformed("an officer has at least one role", "roles"));
    }
    Ok(())
}

/// A proposal that can never hold is refused at once.
fn check_free(node: &Node, new: &command::NewOfficer) -> Result<(), Failed> {
    for (number, row) in officers(&node.reader().view())? {
        if let Some(what) = taken(number, &row, new) {
            return Err(ErrorCode::OfficerNumberTaken.with("what", what).with("officer", number).into());
        }
    }
    Ok(())
}

pub(super) async fn verb(
    State(node): State<Arc<Node>>,
    Path(piece): Path<String>,
    request: Request,
) -> Result<Response, Failed> {
    let (number, verb) = ask::verb(&piece)?;
    let unknown = || ErrorCode::OfficerUnknown.with("officer", number);
    let officer = OfficerNumber(number.parse().map_err(|_| unknown())?);
    if verb != "disable" {
        return Err(ErrorCode::EndpointUnknown.with("method", "POST").with("path", &piece).into());
    }
    let asked = ask::signed(&node, request, Repeats::Refused).await?;
    asked.officer.require(Role::Supervisor, "disabling an officer")?;
    let _: DisableOfficer = asked.json_or_default()?;
    submit(&node, &asked.officer, Ask::DisableOfficer(officer), "disabling an officer", &officer).await?;
    let row = OFFICER.row(&node.reader().view(), &officer.0)?.ok_or_else(unknown)?;
    Ok(Json(shown(officer, row, &names(&node))).into_response())
}
