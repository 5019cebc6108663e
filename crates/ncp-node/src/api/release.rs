//! Release: what waits, exactly what an officer would sign, and the officer's word.
//!
//! The short code is a MAC over the view that was shown to this officer. A code of another version is told apart from one
//! that was never given: the first means that the message was edited meanwhile.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use ncp_api::message::MessagePage;
use ncp_api::release::{Approve, Reject, ReleaseView};
use ncp_api::{ErrorCode, Fault};
use ncp_protocol::approval::{ApprovalCode, ApprovalStatement, ApprovalView, Decision};
use ncp_protocol::event::{Change, Draft, Role};
use ncp_protocol::ids::OfficerNumber;
use ncp_protocol::keys::Signature;
use ncp_store::spool::Record;

use super::ask::{self, Signed};
use super::messages::{find, paged};
use super::query::Page;
use super::work::{check_words, submit, view};
use crate::content::{self, ContentKey};
use crate::core::command::{Ask, Judgement};
use crate::core::tables::{MessageKey, OUT, OutRow, OutState};
use crate::faults::Failed;
use crate::history;
use crate::node::Node;
use crate::notes;
use crate::officer_auth::{Officer, Repeats, officers};
use crate::views::{self, Row};

pub(super) async fn list(State(node): State<Arc<Node>>, request: Request) -> Result<Response, Failed> {
    let page = Page::read(request.uri())?;
    ask::reading_officer(&node, request).await?;
    let page = node.blocking(move |node| waiting(node, &page)).await?;
    Ok(Json(page).into_response())
}

fn waiting(node: &Node, page: &Page) -> Result<MessagePage, Failed> {
    let waits = |row: &Row| match row {
        Row::Out(row) => row.state == OutState::WaitingForRelease,
        Row::In(_) => false,
    };
    let all = views::sent(node)?.into_iter().filter(|listed| waits(&listed.row)).collect();
    paged(node, page, all, true)
}

pub(super) async fn show(
    State(node): State<Arc<Node>>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, Failed> {
    let officer = ask::reading_officer(&node, request).await?;
    let key = find(&node, &name).await?;
    let view = node.blocking(move |node| release_view(node, key, officer.number)).await?;
    Ok(Json(view).into_response())
}

/// Exactly what this officer would sign.
fn release_view(node: &Node, key: MessageKey, officer: OfficerNumber) -> Result<ReleaseView, Failed> {
    let row = waiting_row(node, key)?;
    let draft = &row.draft;
    let erased = || ErrorCode::ContentErased.with("reference", draft.reference);
    let (stored, _) = content::stored(node, &ContentKey::of_out(node.participant(), &row))?.ok_or_else(erased)?;
    let shown = approval_view(node, draft, officer);
    Ok(ReleaseView {
        network: node.network.id(),
        participant: node.participant(),
        officer: officer.0,
        message: views::message(node, key)?,
        commitment: draft.commitment,
        recipients: draft.recipients.clone(),
        precedence: draft.precedence,
        not_after: draft.not_after,
        manifest: stored.manifest.clone(),
        opening: stored.r.to_vec(),
        code: node.vault.approval_code(&shown.encode()),
    })
}

fn approval_view(node: &Node, draft: &Draft, officer: OfficerNumber) -> ApprovalView {
    ApprovalView {
        network: node.network.id(),
        participant: node.participant(),
        message: draft.message,
        commitment: draft.commitment,
        recipients: draft.recipients.clone(),
        precedence: draft.precedence,
        not_after: draft.not_after,
        officer,
    }
}

fn waiting_row(node: &Node, key: MessageKey) -> Result<OutRow, Failed> {
    let row = if key.0 == node.participant() { OUT.row(&node.reader().view(), &key.1)? } else { None };
    let incoming = || -> Fault {
        let fault = ErrorCode::NotWaitingForRelease.with("reference", key.1);
        fault.with("state", "a message of another participant")
    };
    let row = row.ok_or_else(incoming)?;
    if row.state == OutState::WaitingForRelease {
        return Ok(row);
    }
    let stands = views::state::of_out(&node.reader().view(), &row)?;
    Err(ErrorCode::NotWaitingForRelease.with("reference", row.draft.reference).with("state", stands).into())
}

pub(super) async fn verb(
    State(node): State<Arc<Node>>,
    Path(piece): Path<String>,
    request: Request,
) -> Result<Response, Failed> {
    let (name, verb) = ask::verb(&piece)?;
    // Whoever has no key does not learn which references there are.
    let asked = ask::signed(&node, request, Repeats::Refused).await?;
    let key = find(&node, name).await?;
    let (decision, code, signature, reason) = match verb {
        "approve" => {
            let Approve { code, signature } = asked.json()?;
            (Decision::Approve, code, signature, None)
        }
        "reject" => {
            let Reject { code, signature, reason } = asked.json()?;
            check_words(Some(&reason), "reason")?;
            (Decision::Reject, code, signature, Some(reason))
        }
        other => return Err(ErrorCode::EndpointUnknown.with("method", "POST").with("path", other).into()),
    };
    judge(&node, key, asked, Word { decision, code, signature, reason }).await
}

/// An officer's word as it came.
struct Word {
    decision: Decision,
    code: ApprovalCode,
    signature: Signature,
    reason: Option<String>,
}

async fn judge(node: &Arc<Node>, key: MessageKey, asked: Signed, word: Word) -> Result<Response, Failed> {
    asked.officer.require(Role::Releaser, "release")?;
    let officer = asked.officer.clone();
    let (judgement, reference) = node.blocking(move |node| checked(node, key, &officer, word)).await?;
    submit(node, &asked.officer, Ask::Judge(judgement), "release", &reference)
        .await
        .map_err(|error| count(node, error))?;
    view(node, key).await
}

/// Checks who speaks, which version was shown, and the signature, each with its own error.
fn checked(node: &Node, key: MessageKey, officer: &Officer, word: Word) -> Result<(Judgement, String), Failed> {
    let row = waiting_row(node, key)?;
    let draft = &row.draft;
    let reference = draft.reference.to_string();
    if word.decision == Decision::Approve {
        // What is released is sealed, sent and answered: none of it may be stopped half way for want of room.
        crate::space::check(node, 0)?;
    }
    if word.decision == Decision::Approve && row.drafters.contains(&officer.number) {
        return Err(count(node, ErrorCode::DrafterCannotRelease.into()));
    }
    let shown = approval_view(node, draft, officer.number);
    if node.vault.approval_code(&shown.encode()) != word.code {
        return Err(wrong_code(node, key, &row, officer.number, word.code)?.into());
    }
    let statement = ApprovalStatement { view: shown, decision: word.decision, code: word.code };
    if statement.verify(&officer.key, &word.signature).is_err() {
        return Err(ErrorCode::ApprovalSignatureBad.with("reference", reference).into());
    }
    let judgement = Judgement {
        message: draft.message,
        revision: draft.revision,
        officer: officer.number,
        key: officer.key.id(),
        signature: word.signature,
        code: word.code,
        decision: word.decision,
        rules: node.settings().rules.clone(),
        note: word.reason.filter(|words| !words.is_empty()).map(|words| rejection(node, draft, officer, &words)),
    };
    Ok((judgement, reference))
}

fn rejection(node: &Node, draft: &Draft, officer: &Officer, words: &str) -> Record {
    notes::seal(node, notes::rejection_note(draft.message, draft.revision, officer.number), words)
}

/// A code of an earlier version, or none that was ever given to this officer.
fn wrong_code(
    node: &Node,
    key: MessageKey,
    row: &OutRow,
    officer: OfficerNumber,
    code: ApprovalCode,
) -> Result<Fault, Failed> {
    for recorded in history::of(node, key)? {
        let (Change::MessageDrafted(earlier) | Change::MessageEdited(earlier)) = recorded.event.change else {
            continue;
        };
        let known = node.vault.approval_code(&approval_view(node, &earlier, officer).encode());
        if earlier.revision != row.draft.revision && known == code {
            return Ok(ErrorCode::ReleaseEditedMeanwhile.with("reference", row.draft.reference));
        }
    }
    Ok(ErrorCode::ReleaseCodeStale.with("code", code).with("reference", row.draft.reference))
}

/// Says how many others could release it.
fn count(node: &Node, error: Failed) -> Failed {
    let Failed::Fault(fault) = error else { return error };
    if fault.code != ErrorCode::DrafterCannotRelease {
        return Failed::Fault(fault);
    }
    let releasers = officers(&node.reader().view()).map_or(0, |all| {
        let able = |row: &crate::core::tables::OfficerRow| {
            row.standing == crate::core::tables::Standing::Active && row.roles.contains(&Role::Releaser)
        };
        all.iter().filter(|(_, row)| able(row)).count()
    });
    fault.with("count", releasers).into()
}
