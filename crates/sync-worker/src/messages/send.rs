//! `messages.send`: carries one row of the outbox outwards, each state committed before the call that it names.

use std::time::Duration;

use async_trait::async_trait;
use contracts::graph::v1 as pb;
use contracts::graph::v1::FaultKind;
use contracts::jobs::SendMessage;
use domain::outbox::{self, Found, Kind, State, Step, Submission};
use domain::retry::RetryPolicy;
use job_runtime::{Handler, JobContext, JobError, Outcome};
use serde::Deserialize;
use serde_json::json;
use store::outgoing::{self, Outgoing, Progress};

use super::graph::{Graph, answer, interactive};
use crate::connector::moment;
use crate::fault::ProviderError;

/// Steps of one run: draft, attach, submit, look up, and a few again.
const STEPS: usize = 8;
/// Bytes of one part of an upload.
const CHUNK: usize = 512 * 1024;
/// Pause before the first look-up after the provider took a mail, and between look-ups (it moves mail within seconds).
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// A provider that took the mail has it in its queue: the first look is a little later.
const FIRST_LOOK: Duration = Duration::from_secs(1);

/// Runs [`SendMessage`].
#[derive(Debug, Clone)]
pub struct SendMessageHandler(pub Graph);

/// A mail as it waits in the outbox.
#[derive(Debug, Deserialize)]
struct Mail {
    subject: String,
    body_type: String,
    body: String,
    to: Vec<Address>,
    #[serde(default)]
    cc: Vec<Address>,
    #[serde(default)]
    bcc: Vec<Address>,
    #[serde(default)]
    reply_to: Vec<Address>,
    #[serde(default)]
    importance: String,
}

#[derive(Debug, Deserialize)]
struct Address {
    #[serde(default)]
    name: String,
    address: String,
}

fn wire(list: Vec<Address>) -> Vec<pb::MailAddress> {
    list.into_iter().map(|a| pb::MailAddress { name: a.name, address: a.address }).collect()
}

/// What a step led to.
enum After {
    /// To this state; go on.
    To(State, Progress),
    /// Come back.
    Later(Duration, Progress),
    /// The state stays; the job fails or is tried again with this.
    Fails(JobError),
}

#[async_trait]
impl Handler for SendMessageHandler {
    type Payload = SendMessage;

    async fn run(&self, payload: SendMessage, job: JobContext) -> Result<Outcome, JobError> {
        for _ in 0..STEPS {
            let mut tx = job.begin().await?;
            let Some(row) = outgoing::get(&mut tx, job.company(), payload.outbox_id, true).await? else {
                return Ok(Outcome::Done(json!({ "skipped": "the message is unknown" })));
            };
            let (Some(state), kind) = (State::of_name(&row.state), kind(&row)) else {
                return Err(JobError::fail("outbox_state", format!("unknown state {}", row.state)));
            };
            let step = outbox::begin(kind, state);
            if step == Step::Rest {
                let result = json!({ "state": row.state, "error": row.error });
                return job.commit_done(tx, &result).await;
            }
            let mut from = state;
            if step == Step::Submit {
                outgoing::advance(
                    &mut tx,
                    job.company(),
                    row.id,
                    (state, State::Submitting),
                    &Progress::default(),
                )
                .await?;
                from = State::Submitting;
            }
            job.commit(tx).await?;
            let after = match step {
                Step::Draft => self.draft(&job, &row).await?,
                Step::Attach => self.attach(&job, &row).await?,
                Step::Submit => self.submit(&job, &row, kind).await,
                Step::LookUp => self.look_up(&job, &row).await?,
                Step::GiveToPerson => After::To(
                    State::Ambiguous,
                    Progress {
                        error: Some("the answer was lost: it may have been posted".to_owned()),
                        ..Progress::default()
                    },
                ),
                Step::Rest => return Ok(Outcome::Done(json!({ "state": row.state }))),
            };
            match after {
                After::To(to, progress) => {
                    let mut tx = job.begin().await?;
                    outgoing::advance(&mut tx, job.company(), row.id, (from, to), &progress).await?;
                    job.commit(tx).await?;
                    if to == State::Submitted {
                        chassis::time::pause(FIRST_LOOK).await;
                    }
                    if let (State::Attached | State::Pending, Some(error)) = (to, progress.error) {
                        return Err(JobError::retry_after(LOOK_AGAIN, "not_now", error));
                    }
                }
                After::Later(pause, progress) => {
                    let mut tx = job.begin().await?;
                    outgoing::advance(&mut tx, job.company(), row.id, (from, from), &progress).await?;
                    job.commit(tx).await?;
                    chassis::time::pause(pause.min(job.remaining() / 4)).await;
                }
                After::Fails(error) => return Err(error),
            }
        }
        Err(JobError::retry_after(LOOK_AGAIN, "not_seen_yet", "the mail is not among the sent ones yet"))
    }

    fn retry_policy(&self) -> RetryPolicy {
        super::RETRY
    }
}

fn kind(row: &Outgoing) -> Kind {
    if row.kind == "card" { Kind::Card } else { Kind::Mail }
}

impl SendMessageHandler {
    async fn draft(&self, job: &JobContext, row: &Outgoing) -> Result<After, JobError> {
        let mail = Mail::deserialize(&row.payload)
            .map_err(|e| JobError::fail("outbox_payload", "the stored mail cannot be read").because(e))?;
        let request = pb::EnsureDraftRequest {
            context: Some(interactive(job)),
            user_id: row.sender.clone(),
            outbox_id: row.id.to_string(),
            subject: mail.subject,
            body_type: mail.body_type,
            body: mail.body,
            to: wire(mail.to),
            cc: wire(mail.cc),
            bcc: wire(mail.bcc),
            reply_to: wire(mail.reply_to),
            importance: mail.importance,
            // Nobody can tell: an attempt that was cut short leaves no trace here.
            first_attempt: false,
        };
        Ok(match answer(self.0.mail.clone().ensure_draft(request).await) {
            Ok(draft) => {
                let to = if draft.already_sent { State::Sent } else { State::Drafted };
                After::To(to, Progress { provider_message_id: Some(draft.message_id), ..Progress::default() })
            }
            Err(error) => refused(error),
        })
    }

    async fn attach(&self, job: &JobContext, row: &Outgoing) -> Result<After, JobError> {
        let mut tx = job.begin().await?;
        let files = outgoing::files(&mut tx, job.company(), row.id).await?;
        drop(tx);
        for file in files {
            let head = pb::AttachFileHead {
                context: Some(interactive(job)),
                user_id: row.sender.clone(),
                message_id: row.provider_message_id.clone().unwrap_or_default(),
                name: file.name,
                content_type: file.content_type,
                size: i64::try_from(file.content.len()).unwrap_or(i64::MAX),
            };
            let mut parts =
                vec![pb::AttachFileRequest { part: Some(pb::attach_file_request::Part::Head(head)) }];
            parts.extend(file.content.chunks(CHUNK).map(|chunk| pb::AttachFileRequest {
                part: Some(pb::attach_file_request::Part::Chunk(chunk.to_vec())),
            }));
            if let Err(error) = answer(self.0.mail.clone().attach_file(futures::stream::iter(parts)).await) {
                return Ok(refused(error));
            }
        }
        Ok(After::To(State::Attached, Progress::default()))
    }

    async fn submit(&self, job: &JobContext, row: &Outgoing, kind: Kind) -> After {
        let sent = match kind {
            Kind::Mail => {
                let request = pb::SendDraftRequest {
                    context: Some(interactive(job)),
                    user_id: row.sender.clone(),
                    message_id: row.provider_message_id.clone().unwrap_or_default(),
                };
                answer(self.0.mail.clone().send_draft(request).await).map(drop)
            }
            Kind::Card => {
                let request = pb::PostCardRequest {
                    context: Some(interactive(job)),
                    workflow: row.sender.clone(),
                    card_json: row.payload["card"].to_string(),
                };
                answer(self.0.teams.clone().post_card(request).await).map(drop)
            }
        };
        let (submission, error) = match sent {
            Ok(()) => (Submission::Taken, None),
            Err(error) => {
                let submission = match error.kind() {
                    // The provider, or our own fence before it, said that it did nothing.
                    FaultKind::Throttled
                    | FaultKind::BreakerOpen
                    | FaultKind::Quota
                    | FaultKind::TryLater => Submission::NotNow,
                    FaultKind::Forbidden
                    | FaultKind::Credential
                    | FaultKind::Refused
                    | FaultKind::NotSupported => Submission::Refused,
                    // A draft that is not found was sent, or deleted: the look-up tells.
                    FaultKind::NotFound if kind == Kind::Card => Submission::Refused,
                    _ => Submission::Lost,
                };
                (submission, Some(error.to_string()))
            }
        };
        let to = outbox::submitted(kind, submission);
        if to == State::Submitting {
            return After::Later(LOOK_AGAIN, Progress { error, ..Progress::default() });
        }
        After::To(to, Progress { error, ..Progress::default() })
    }

    async fn look_up(&self, job: &JobContext, row: &Outgoing) -> Result<After, JobError> {
        let request = pb::FindOutgoingRequest {
            context: Some(interactive(job)),
            user_id: row.sender.clone(),
            outbox_id: row.id.to_string(),
            message_id: row.provider_message_id.clone().unwrap_or_default(),
        };
        let reply = answer(self.0.mail.clone().find_outgoing(request).await)?;
        let found = match reply.state() {
            pb::OutgoingState::Sent => Found::Sent,
            pb::OutgoingState::Submitted => Found::Submitted,
            pb::OutgoingState::Draft => Found::Draft,
            pb::OutgoingState::Absent | pb::OutgoingState::Unspecified => Found::Absent,
        };
        let some = |text: String| (!text.is_empty()).then_some(text);
        let mut progress = Progress {
            provider_message_id: some(reply.message_id),
            internet_message_id: some(reply.internet_message_id),
            error: None,
            sent_at: reply.sent_at_us.and_then(moment),
            looked_up: true,
        };
        Ok(match outbox::looked_up(row.state == "submitted", found, row.lookups + 1) {
            Some(State::Ambiguous) => {
                progress.error = Some(format!(
                    "it may have been sent: after {} look-ups it is {found:?}",
                    row.lookups + 1
                ));
                After::To(State::Ambiguous, progress)
            }
            Some(state) => After::To(state, progress),
            None => After::Later(LOOK_AGAIN, progress),
        })
    }
}

/// A refusal before anything could have been sent: for good, or to be tried again.
fn refused(error: ProviderError) -> After {
    match error.kind() {
        FaultKind::Refused | FaultKind::NotFound | FaultKind::NotSupported => {
            After::To(State::Failed, Progress { error: Some(error.to_string()), ..Progress::default() })
        }
        _ => After::Fails(error.into()),
    }
}
