//! A page of Google's changes against the rows, in one transaction.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use domain::calendar::engine::{Cascade, Match, Row, Setting, Sight, adopt, matches, may_link, pull};
use domain::calendar::event::Side;
use domain::calendar::google::Incoming;
use domain::calendar::merge::Loser;
use job_runtime::JobError;
use store::Tx;
use store::calendar::rows::{self, Stored};
use uuid::Uuid;

use super::{Work, ends};

/// What a page came to.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Counts {
    pub(super) added: u64,
    pub(super) updated: u64,
    pub(super) deleted: u64,
}

/// The rows that a page touches.
pub(super) struct Page {
    rows: HashMap<String, Stored>,
    by_google_id: HashMap<String, String>,
    /// Keys whose content the provider changed.
    changed: Vec<String>,
    losers: Vec<(String, Vec<Loser>)>,
    ends: Vec<(Cascade, Option<Uuid>, String)>,
    pub(super) counts: Counts,
}

impl Page {
    /// Finds every row that one of these events may belong to.
    pub(super) async fn load(tx: &mut Tx, work: &Work, incoming: &[Incoming]) -> Result<Self, JobError> {
        let mut page = Self {
            rows: HashMap::new(),
            by_google_id: HashMap::new(),
            changed: Vec::new(),
            losers: Vec::new(),
            ends: Vec::new(),
            counts: Counts::default(),
        };
        let calendar = work.calendar.id.as_str();
        let mut ids: Vec<String> = incoming.iter().map(|event| event.id.clone()).collect();
        ids.extend(incoming.iter().filter_map(|event| event.minted.clone()));
        let masters: Vec<String> =
            incoming.iter().filter_map(|event| event.series.as_ref()).map(|s| s.master.clone()).collect();
        ids.extend(masters.iter().cloned());
        ids.sort_unstable();
        ids.dedup();
        page.add(rows::by_google_ids(tx, calendar, &ids).await?);
        let unknown: Vec<&Incoming> =
            incoming.iter().filter(|event| !page.by_google_id.contains_key(&event.id)).collect();
        if unknown.is_empty() {
            return Ok(page);
        }
        let stamps: Vec<Uuid> =
            unknown.iter().filter_map(|event| event.stamp.as_ref()?.event.parse().ok()).collect();
        if !stamps.is_empty() {
            page.add(rows::by_keys(tx, work.company, calendar, &stamps).await?);
        }
        let uids: Vec<String> = unknown
            .iter()
            .filter(|event| event.series.is_none())
            .filter_map(|event| event.ical_uid.clone())
            .collect();
        if !uids.is_empty() {
            page.add(rows::by_ical_uids(tx, calendar, &uids).await?);
        }
        if !masters.is_empty() {
            let known: Vec<Uuid> = masters
                .iter()
                .filter_map(|id| page.by_google_id.get(id))
                .filter_map(|key| key.parse().ok())
                .collect();
            page.add(rows::exceptions(tx, calendar, &masters, &known).await?);
        }
        Ok(page)
    }

    fn add(&mut self, found: Vec<Stored>) {
        for stored in found {
            let key = stored.row.key.clone();
            if self.rows.contains_key(&key) {
                continue;
            }
            if let Some(link) = &stored.row.link {
                self.by_google_id.insert(link.id.clone(), key.clone());
            }
            self.rows.insert(key, stored);
        }
    }

    fn row(&self, key: &str) -> Option<&Row> {
        self.rows.get(key).map(|stored| &stored.row)
    }

    fn find(&self, incoming: &Incoming) -> Option<String> {
        matches(incoming).into_iter().find_map(|way| {
            let found = match &way {
                Match::Id(id) => self.by_google_id.get(id).and_then(|key| self.row(key)),
                Match::Stamp(key) => self.row(key),
                Match::ICalUid(_) => self.rows.values().map(|stored| &stored.row).find(|row| {
                    row.link
                        .as_ref()
                        .and_then(|link| link.base.as_ref())
                        .is_some_and(|base| base.raw["iCalUID"].as_str() == incoming.ical_uid.as_deref())
                }),
                Match::Occurrence(master, original) => {
                    let series = self.by_google_id.get(master);
                    self.rows.values().map(|stored| &stored.row).find(|row| {
                        row.place.as_ref().is_some_and(|place| {
                            place.original == *original
                                && (place.master.as_ref() == Some(master)
                                    || (place.row.is_some() && place.row.as_ref() == series))
                        })
                    })
                }
            };
            found.filter(|row| may_link(row, incoming)).map(|row| row.key.clone())
        })
    }

    /// Takes one event.
    pub(super) fn take(&mut self, incoming: &Incoming, set: &Setting<'_>) {
        let Some(key) = self.find(incoming) else { return self.adopt(incoming, set) };
        let Some(stored) = self.rows.get_mut(&key) else { return };
        let was_gone = stored.row.local == Side::Gone;
        let pulled = pull(&mut stored.row, incoming, set);
        self.by_google_id.insert(incoming.id.clone(), key.clone());
        if pulled.changed {
            match (was_gone, stored.row.local == Side::Gone) {
                (false, true) => self.counts.deleted += 1,
                (true, false) => self.counts.added += 1,
                _ => self.counts.updated += 1,
            }
            if pulled.sight == Sight::Fresh {
                self.changed.push(key.clone());
            }
        }
        if !pulled.losers.is_empty() {
            self.losers.push((key.clone(), pulled.losers));
        }
        if let Some(cascade) = pulled.cascade {
            self.ends.push((cascade, key.parse().ok(), incoming.id.clone()));
        }
    }

    fn adopt(&mut self, incoming: &Incoming, set: &Setting<'_>) {
        let key = chassis::ids::new_id().to_string();
        let Some(mut row) = adopt(key.clone(), incoming, set) else {
            self.ends.push((Cascade::All, None, incoming.id.clone()));
            return;
        };
        if let Some(place) = &mut row.place {
            place.row = place.master.as_ref().and_then(|master| self.by_google_id.get(master)).cloned();
        }
        self.by_google_id.insert(incoming.id.clone(), key.clone());
        if row.local != Side::Gone {
            self.counts.added += 1;
        }
        self.changed.push(key.clone());
        self.rows.insert(key, Stored::new(row));
    }

    /// Writes the page.
    pub(super) async fn save(self, tx: &mut Tx, work: &Work, now: DateTime<Utc>) -> Result<Counts, JobError> {
        let mut written: Vec<(&Stored, Option<&str>)> = Vec::new();
        for (key, stored) in &self.rows {
            if stored.is_changed() {
                written.push((stored, self.changed.contains(key).then_some(work.calendar.source)));
            }
        }
        // In one order for everybody, series before their exceptions.
        written.sort_by_key(|(stored, _)| (stored.row.place.is_some(), stored.row.key.clone()));
        rows::save(tx, work.company, &work.calendar, &written, now).await?;
        for (key, losers) in &self.losers {
            if let Some(stored) = self.rows.get(key) {
                work.keep(tx, stored, losers).await?;
            }
        }
        for (cascade, master, google_id) in &self.ends {
            ends::cascade(tx, work, *cascade, *master, google_id).await?;
        }
        let dirty: Vec<Uuid> = written
            .iter()
            .filter(|(stored, _)| stored.row.dirty())
            .filter_map(|(stored, _)| stored.id())
            .collect();
        if !dirty.is_empty() {
            rows::queue(tx, work.company, work.calendar.connection, &dirty).await?;
        }
        Ok(self.counts)
    }
}
