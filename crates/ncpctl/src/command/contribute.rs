//! `contribute`: what a national service found, entered by an officer.

use clap::Args;
use ncp_api::message::{Contribute as Contribution, MessageName, MessageView};
use ncp_api::{Client, ErrorCode};
use std::path::PathBuf;

use crate::compose::{patient, read_text, upload_all};
use crate::context::{Context, random_key};
use crate::error::{Error, input_needed};
use crate::message::record;
use crate::output::Report;

const EXAMPLES: &str = "\
Examples:
  ncpctl contribute XB-2026-000031 --task 1 --text \"Crossed on 12 May at 03:10.\"
  ncpctl contribute XB-2026-000031 --service customs --attach manifest.pdf";

/// Enter what a national service found
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Contribute {
    /// Reference or id of the request
    #[arg(value_name = "ID")]
    name: MessageName,
    /// Number of the task; not needed if one alone is open
    #[arg(long, value_name = "NUMBER", conflicts_with = "service")]
    task: Option<u16>,
    /// Code of the service instead of the task's number
    #[arg(long, value_name = "SERVICE")]
    service: Option<String>,
    /// What was found
    #[arg(long, value_name = "TEXT", conflicts_with = "text_file")]
    text: Option<String>,
    /// A file with the text; - is standard input
    #[arg(long, value_name = "PATH")]
    text_file: Option<PathBuf>,
    /// A file to attach, under its own name or another; repeatable
    #[arg(long, value_name = "[NAME=]PATH")]
    attach: Vec<String>,
    /// The same key makes the same contribution, however often it is sent
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
}

impl Contribute {
    pub(super) async fn run(self, context: &Context) -> Result<Report, Error> {
        let client = context.officer_client().await?;
        let task = self.task_number(&client).await?;
        let text = match (&self.text, &self.text_file) {
            (Some(text), _) => Some(text.clone()),
            (None, Some(path)) => Some(read_text(path)?),
            (None, None) if self.attach.is_empty() => {
                Some(context.asking.block("What was found?", "what was found", "--text or --attach")?)
            }
            (None, None) => None,
        };
        let attached = upload_all(context, &client, &self.attach).await?;
        let attachments = attached.into_iter().map(|attached| attached.attachment).collect();
        let contribution = Contribution { task, text, attachments };
        let key = self.idempotency_key.unwrap_or_else(random_key);
        let view = patient(&client).contribute(&self.name, &contribution, &key).await?;
        let open = view.tasks.iter().filter(|task| task.contributions.is_empty()).count();
        let human = format!("entered  contribution to task {task} of {}; {open} tasks open\n", view.reference);
        let report = Report::object(crate::message::SCHEMA, &view)?.human(human).plain(record(&view));
        Ok(if open == 0 {
            report.hint(format!("ncpctl respond {} --contributions all", view.reference))
        } else {
            report
        })
    }

    async fn task_number(&self, client: &Client) -> Result<u16, Error> {
        if let Some(task) = self.task {
            return Ok(task);
        }
        let view = client.message(&self.name).await?;
        match &self.service {
            Some(service) => by_service(&view, service),
            None => only_open(&view),
        }
    }
}

fn by_service(view: &MessageView, service: &str) -> Result<u16, Error> {
    let found = view.tasks.iter().find(|task| task.service.as_str() == service);
    found.map(|task| task.task).ok_or_else(|| {
        ErrorCode::TaskUnknown.with("reference", view.reference).with("task", format_args!("for {service:?}")).into()
    })
}

fn only_open(view: &MessageView) -> Result<u16, Error> {
    let open: Vec<u16> = view.tasks.iter().filter(|task| task.contributions.is_empty()).map(|task| task.task).collect();
    match open.as_slice() {
        [task] => Ok(*task),
        [] if view.tasks.is_empty() => {
            Err(ErrorCode::TaskUnknown.with("reference", view.reference).with("task", "at all").into())
        }
        _ => Err(input_needed("the number of the task", "--task NUMBER")),
    }
}
