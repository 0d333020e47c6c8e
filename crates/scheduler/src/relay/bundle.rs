//! Several bells in one message, where a flood of like jobs is taken out fast: a message costs the broker the same
//! whatever it rings for.

use std::collections::HashMap;

use contracts::bell;
use contracts::jobs::Queue;
use domain::fairness::INTERACTIVE;
use store::jobs::OutboxRow;
use uuid::Uuid;

use super::queue_of;

/// Puts rows of one kind and company into common messages, as many into each as `most` allows for their queue; a
/// message stands where its first row stood. What a person waits for has a message of its own, and so has what was
/// refused before.
pub(super) fn bundles(rows: Vec<OutboxRow>, most: impl Fn(Queue) -> usize) -> Vec<Vec<OutboxRow>> {
    let mut messages: Vec<Vec<OutboxRow>> = Vec::with_capacity(rows.len());
    let mut open: HashMap<(Uuid, String), usize> = HashMap::new();
    for row in rows {
        let most = match queue_of(&row) {
            Some(queue) if row.priority < INTERACTIVE && row.refusals == 0 => {
                most(queue).clamp(1, bell::MOST)
            }
            _ => 1,
        };
        if most == 1 {
            messages.push(vec![row]);
            continue;
        }
        let key = (row.company.uuid(), row.routing_key.clone());
        if let Some(rows) =
            open.get(&key).and_then(|at| messages.get_mut(*at)).filter(|rows| rows.len() < most)
        {
            rows.push(row);
        } else {
            open.insert(key, messages.len());
            messages.push(vec![row]);
        }
    }
    messages
}

#[cfg(test)]
mod tests {
    use chassis::trace::TraceContext;
    use domain::ids::CompanyId;
    use proptest::prelude::*;

    use super::*;

    fn row(id: usize, company: u128, kind: &str, priority: i16) -> OutboxRow {
        OutboxRow {
            id: i64::try_from(id).expect("small"),
            company: CompanyId(Uuid::from_u128(company)),
            job_id: Uuid::from_u128(id as u128),
            epoch: 0,
            routing_key: kind.to_owned(),
            queue: "jobs.maintenance".to_owned(),
            priority,
            refusals: 0,
            trace: TraceContext::default(),
        }
    }

    proptest! {
        #[test]
        fn every_bell_is_in_one_message_of_its_like(
            rows in prop::collection::vec((0..3_u128, 0..2_usize, 0..10_i16), 0..200),
            most in 0..40_usize,
        ) {
            let kinds = ["maintenance.a", "maintenance.b"];
            let rows: Vec<OutboxRow> = rows.iter().enumerate()
                .map(|(id, (company, kind, priority))| row(id, *company, kinds[*kind], *priority)).collect();
            let messages = bundles(rows.clone(), |_| most);
            let mut ids: Vec<i64> = messages.iter().flatten().map(|row| row.id).collect();
            ids.sort_unstable();
            prop_assert_eq!(ids, rows.iter().map(|row| row.id).collect::<Vec<_>>());
            let mut last = -1;
            for rows in &messages {
                prop_assert!(!rows.is_empty() && rows.len() <= most.clamp(1, bell::MOST));
                prop_assert!(rows.iter().all(|row| row.company == rows[0].company && row.routing_key == rows[0].routing_key));
                prop_assert!(rows.len() == 1 || rows.iter().all(|row| row.priority < INTERACTIVE));
                prop_assert!(rows.is_sorted_by_key(|row| row.id));
                prop_assert!(rows[0].id > last, "a message stands where its first row stood");
                last = rows[0].id;
            }
        }
    }
}
