//! Pages: what a run answers is frozen when its first page is asked for (E3).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::Google;
use super::error::ApiError;
use super::params::{Caller, ListParams, PageTrouble};
use super::token::{PageToken, SyncToken};

/// Runs that are remembered, and rows of all of them together; the oldest fall out.
const RUNS: usize = 256;
const ROWS: usize = 200_000;

/// Rows before filtering: `None` is a row that the caller does not see but that takes its place in a page.
pub(crate) type Rows = Vec<Option<Value>>;

/// What every page of a run has.
#[derive(Debug, Clone)]
pub(crate) struct Envelope {
    pub(crate) body: Value,
    /// The sync token of the last page.
    pub(crate) sync: Option<String>,
}

/// A run, frozen.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    account: String,
    rows: Arc<Rows>,
    envelope: Envelope,
    size: usize,
}

impl Google {
    /// Freezes a run and answers its first page. `sizes` are the default and the largest page;
    /// `calendar` is the one whose E6 switch counts.
    pub(crate) fn first_page(
        &mut self,
        caller: &Caller<'_>,
        params: &ListParams,
        rows: Rows,
        envelope: Envelope,
        sizes: (usize, usize),
        calendar: Option<&str>,
    ) -> Result<Value, ApiError> {
        let size = params.max_results.unwrap_or(sizes.0);
        if size == 0 {
            return Err(ApiError::parameter("maxResults", "maxResults must be positive."));
        }
        let rows = if self.switches.page_before_filter {
            rows
        } else {
            rows.into_iter().flatten().map(Some).collect()
        };
        let run = Run {
            account: caller.account.to_owned(),
            rows: Arc::new(rows),
            envelope,
            size: size.min(sizes.1),
        };
        let number = self.next_run;
        self.next_run += 1;
        let body = self.page(&run, number, 0, 0, params.trouble, calendar)?;
        if body.get("nextPageToken").is_some() {
            self.runs.insert(number, run);
            let rows = |runs: &BTreeMap<u64, Run>| runs.values().map(|run| run.rows.len()).sum::<usize>();
            while self.runs.len() > RUNS || (self.runs.len() > 1 && rows(&self.runs) > ROWS) {
                self.runs.pop_first();
            }
        }
        Ok(body)
    }

    /// Answers a page of a frozen run.
    pub(crate) fn next_page(
        &mut self,
        caller: &Caller<'_>,
        params: &ListParams,
        calendar: Option<&str>,
    ) -> Result<Value, ApiError> {
        let text = params.page_token.as_deref().unwrap_or_default();
        let token = PageToken::open(text).ok_or_else(ApiError::bad_page_token)?;
        let run = self
            .runs
            .get(&token.run)
            .filter(|run| run.account == caller.account)
            .cloned()
            .ok_or_else(ApiError::bad_page_token)?;
        self.page(&run, token.run, token.offset, token.page, params.trouble, calendar)
    }

    fn page(
        &mut self,
        run: &Run,
        number: u64,
        offset: usize,
        page: u32,
        trouble: Option<PageTrouble>,
        calendar: Option<&str>,
    ) -> Result<Value, ApiError> {
        if let Some(target) = calendar.and_then(|id| self.calendars.get_mut(id))
            && target.gone_at_page == Some(page)
        {
            target.gone_at_page = None;
            self.runs.remove(&number);
            return Err(ApiError::full_sync());
        }
        let mut end = run.rows.len().min(offset + run.size);
        if trouble == Some(PageTrouble::Empty) {
            end = offset;
        }
        let mut body = run.envelope.body.clone();
        let items: Vec<Value> = run.rows[offset..end].iter().flatten().cloned().collect();
        body["items"] = Value::Array(items);
        let link = |offset, page| json!(PageToken { run: number, offset, page }.seal());
        if trouble == Some(PageTrouble::Loop) {
            body["nextPageToken"] = link(offset, page);
        } else if end < run.rows.len() || trouble.is_some() {
            body["nextPageToken"] = link(end, page + 1);
        } else if let Some(token) = &run.envelope.sync {
            body["nextSyncToken"] = json!(token);
        }
        Ok(body)
    }

    /// The token that a run ends with when it starts now.
    pub(crate) fn fresh_token(
        &self,
        caller: &Caller<'_>,
        resource: String,
        parameters: u64,
        window: (Option<i64>, Option<i64>),
    ) -> String {
        SyncToken {
            resource,
            account: caller.account.to_owned(),
            parameters,
            seq: self.changes,
            issued_ms: caller.now.timestamp_millis(),
            window,
        }
        .seal()
    }

    /// Checks the sync token of a request: malformed and foreign ones are 400, old ones 410.
    pub(crate) fn sync_start(
        &self,
        caller: &Caller<'_>,
        resource: &str,
        parameters: u64,
        params: &ListParams,
    ) -> Result<Option<SyncToken>, ApiError> {
        let Some(text) = &params.sync_token else { return Ok(None) };
        let token = SyncToken::open(text).ok_or_else(ApiError::bad_sync_token)?;
        if token.resource != resource || token.account != caller.account || token.seq > self.changes {
            return Err(ApiError::bad_sync_token());
        }
        if token.parameters != parameters
            && self.switches.token_parameters == super::switches::TokenParameters::Refuse
        {
            return Err(ApiError::bad_sync_token());
        }
        let age_ms = caller.now.timestamp_millis() - token.issued_ms;
        let old = self.switches.token_seconds.is_some_and(|seconds| age_ms > seconds * 1000);
        let from = resource
            .split_once('/')
            .and_then(|(_, id)| self.calendars.get(id))
            .map_or(0, |calendar| calendar.tokens_from);
        if old || token.seq < from { Err(ApiError::full_sync()) } else { Ok(Some(token)) }
    }
}
