//! What the operator changes: admission, suspension, reinstatement. The statements are signed elsewhere.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{ConnectInfo, State};
use axum::response::Response;
use ncp_api::hub::{HubAdmit, HubMembership};

use super::{Answer, Caller, answer, parse};
use crate::directory::admission;
use crate::hub::Hub;

pub(super) async fn admit(
    State(hub): State<Arc<Hub>>,
    ConnectInfo(caller): ConnectInfo<Caller>,
    body: Bytes,
) -> Result<Response, Answer> {
    let actor = caller.operator()?;
    let request: HubAdmit = parse(&body)?;
    let recorded = admission::admit(&hub, &request, actor).await?;
    tracing::info!(participant = %recorded.participant, version = recorded.entry_version, "entry in force");
    Ok(answer(&recorded))
}

pub(super) async fn change_membership(
    State(hub): State<Arc<Hub>>,
    ConnectInfo(caller): ConnectInfo<Caller>,
    body: Bytes,
) -> Result<Response, Answer> {
    let actor = caller.operator()?;
    let request: HubMembership = parse(&body)?;
    let recorded = admission::change_membership(&hub, &request, actor).await?;
    tracing::info!(participant = %recorded.participant, version = recorded.membership_version, "membership in force");
    Ok(answer(&recorded))
}
