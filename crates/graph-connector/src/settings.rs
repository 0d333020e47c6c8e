//! Settings of mail, Teams and their budgets.

use std::collections::BTreeMap;

use chassis::config::{Env, SecretSource};
use graph_client::WorkflowHosts;
use outbound::Url;
use outbound::throttle::LaneRules;

use crate::clients::Budgets;
use crate::config::base_url;

const WORKFLOWS: &str = "TEAMS_WORKFLOW_URLS";

/// Budgets of all workloads; `drives` is read already.
pub(crate) fn budgets(env: &mut Env, drives: LaneRules) -> Budgets {
    let calls = env.parse("GRAPH_MAILBOX_MAX_CALLS", 4);
    if calls == 0 {
        env.fault("GRAPH_MAILBOX_MAX_CALLS", "must be at least 1, got `0`");
    }
    let mut lane = |name, units_per_minute, burst| LaneRules {
        units_per_minute: env.parse(name, units_per_minute),
        burst,
        ..drives
    };
    Budgets {
        drives,
        // 10,000 requests in ten minutes for an application and a mailbox: 500 at once and 900 a minute stay below.
        mailbox: lane("GRAPH_MAILBOX_REQUESTS_PER_MINUTE", 900, 500),
        mailbox_calls: std::cmp::Ord::max(calls, 1),
        // 20 a second for an application in a tenant, and 4 a second for one channel or chat.
        teams: lane("GRAPH_TEAMS_REQUESTS_PER_MINUTE", 900, 4),
        teams_place: lane("GRAPH_CHANNEL_REQUESTS_PER_MINUTE", 180, 1),
        // 5,000 in 20 seconds for an application in a tenant.
        subscriptions: LaneRules { units_per_minute: 6_000, burst: 1_000, ..drives },
        // About 4 a second for a webhook of Teams.
        workflow: LaneRules { units_per_minute: 120, burst: 2, ..drives },
    }
}

pub(crate) fn mail_page_size(env: &mut Env) -> u32 {
    let size = env.parse("GRAPH_MAIL_PAGE_SIZE", 50);
    if !(1..=1_000).contains(&size) {
        env.fault("GRAPH_MAIL_PAGE_SIZE", format!("must be 1 to 1000, got `{size}`"));
    }
    size
}

/// Bytes.
pub(crate) fn body_limit(env: &mut Env) -> usize {
    let kib: usize = env.parse("GRAPH_BODY_LIMIT_KIB", 256);
    if !(1..=4_096).contains(&kib) {
        env.fault("GRAPH_BODY_LIMIT_KIB", format!("must be 1 to 4096, got `{kib}`"));
    }
    kib * 1_024
}

/// The addresses, checked once at the start; a file is read again when it changes.
pub(crate) fn workflow_urls(env: &mut Env) -> Option<SecretSource> {
    let source = env.secret(WORKFLOWS)?;
    if let Err(fault) = workflows(&source) {
        env.fault(WORKFLOWS, fault);
    }
    Some(source)
}

/// Reads `name=address` pairs, separated by commas or line ends. Faults never show an address.
pub(crate) fn workflows(source: &SecretSource) -> Result<BTreeMap<String, Url>, String> {
    let text = source.current();
    let mut read = BTreeMap::new();
    for (at, pair) in text.expose().split([',', '\n']).map(str::trim).filter(|p| !p.is_empty()).enumerate() {
        let entry = at + 1;
        let (name, address) =
            pair.split_once('=').ok_or_else(|| format!("entry {entry} is not `name=address`"))?;
        let name = name.trim();
        let url = Url::parse(address.trim()).map_err(|_| format!("the address of `{name}` is not one"))?;
        if name.is_empty() || read.insert(name.to_owned(), url).is_some() {
            return Err(format!("entry {entry} has no name of its own"));
        }
    }
    Ok(read)
}

pub(crate) fn workflow_hosts(env: &mut Env) -> WorkflowHosts {
    let hosts = env.string("TEAMS_WORKFLOW_HOSTS", WorkflowHosts::DEFAULT);
    let development = base_url(env, "TEAMS_WORKFLOW_BASE_URL", None);
    if development.is_some() && env.production() {
        env.fault("TEAMS_WORKFLOW_BASE_URL", "is for development alone; unset it");
    }
    let patterns = hosts.split(',').map(|host| host.trim().to_ascii_lowercase());
    WorkflowHosts { patterns: patterns.filter(|host| !host.is_empty()).collect(), development }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chassis::secret::Secret;

    #[test]
    fn workflows_are_read_and_faults_show_no_address() {
        let source = |text: &str| SecretSource::fixed(Secret::from(text));
        let read = workflows(&source("a=https://x.logic.azure.com/w?sig=1%2C2,\n b = https://y/?sig=2"))
            .expect("two");
        assert_eq!(read.len(), 2);
        assert_eq!(read["a"].query(), Some("sig=1%2C2"));
        for bad in
            ["https://x/?sig=hush", "a=hush", "a=https://x/?sig=hush,a=https://y/?sig=hush", "=https://x"]
        {
            let fault = workflows(&source(bad)).expect_err(bad);
            assert!(!fault.contains("hush"), "{fault}");
        }
    }
}
