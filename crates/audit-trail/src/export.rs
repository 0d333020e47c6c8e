//! A trail written down, to be judged by whoever has the file and a key.
//!
//! JSON lines: a head, the checkpoints, the records, an end.

use std::io::{BufRead, Write};

use domain::audit::checkpoint::origin;
use domain::audit::{Fault, Position, Reason, Report, Sealed, Verifier};
use domain::ids::CompanyId;
use outbound::audit_keys::AuditKeys;
use serde::{Deserialize, Serialize};
use store::audit::{checkpoints, read, seal};
use uuid::Uuid;

use crate::{Trail, TrailError, verify};

/// Form that this build writes.
pub const FORMAT: &str = "syncline-audit-export/1";
const PAGE: i64 = 2_000;
/// Longest line: a record's details are a request's body at most.
const MAX_LINE: u64 = 16 << 20;
/// Most checkpoints: fifty years of hours.
const MAX_NOTES: usize = 500_000;

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Line {
    Head(Head),
    Checkpoint { number: u64, note: String },
    Sealed(Box<Sealed>),
    End { size: u64 },
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    format: String,
    origin: String,
    company_id: Option<Uuid>,
    /// Chain and tree before the first record, when earlier ones are in archives.
    start: Position,
    /// Public halves of the keys, to compare with those that were handed over by another way.
    verifier_keys: Vec<String>,
}

/// Writes the trail of an organization as it is now; the number of records.
///
/// # Errors
/// [`TrailError`].
pub async fn write(
    trail: &Trail,
    company: CompanyId,
    out: &mut (impl Write + Send),
) -> Result<u64, TrailError> {
    let mut tx = trail.store.tenant_bulk(company).await?;
    read::snapshot(&mut tx).await?;
    let mut start = Position::default();
    let mut before = None;
    for row in verify::archives_of(&mut tx, company).await?.iter().filter(|row| row.stands_in()) {
        let trusted = verify::trust(trail, company, row, before.as_ref())?;
        start = trusted.manifest.end.clone();
        before = Some(trusted);
    }
    let mut after = i64::try_from(start.frontier.size()).unwrap_or(i64::MAX);
    let head = Head {
        format: FORMAT.to_owned(),
        origin: origin(Some(company.uuid())),
        company_id: Some(company.uuid()),
        start,
        verifier_keys: trail.keys.verifier_keys(),
    };
    line(out, &Line::Head(head))?;
    let mut number = 0;
    loop {
        let page = checkpoints::list(&mut tx, Some(company), number, PAGE).await?;
        let Some(last) = page.last() else { break };
        number = last.number;
        for row in page {
            let number = u64::try_from(row.number).unwrap_or(0);
            line(out, &Line::Checkpoint { number, note: row.note })?;
        }
    }
    let mut records = 0;
    loop {
        let page = read::page(&mut tx, Some(company), after, i64::MAX, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = i64::try_from(last.record.sequence).unwrap_or(i64::MAX);
        records += page.len() as u64;
        for sealed in page {
            line(out, &Line::Sealed(Box::new(sealed)))?;
        }
    }
    let size = seal::head(&mut tx, Some(company)).await?.map_or(0, |head| head.frontier.size());
    line(out, &Line::End { size })?;
    tx.rollback().await?;
    out.flush().map_err(|source| TrailError::Io { what: "writing the export", source })?;
    Ok(records)
}

fn line(out: &mut impl Write, line: &Line) -> Result<(), TrailError> {
    let io = |source| TrailError::Io { what: "writing the export", source };
    serde_json::to_writer(&mut *out, line).map_err(|e| io(e.into()))?;
    out.write_all(b"\n").map_err(io)
}

/// Judges a file that [`write`] wrote, with these keys and nothing else. `anchors` are checkpoints that were handed
/// over by another way.
///
/// # Errors
/// [`TrailError::Io`] when the file cannot be read; that it is no export, or cut, is a fault in the report.
pub fn judge(keys: &AuditKeys, file: &mut impl BufRead, anchors: &[String]) -> Result<Report, TrailError> {
    let mut lines = Lines(file);
    let Some(Line::Head(head)) = lines.next()? else {
        return Ok(cut("it does not begin as an export does"));
    };
    if head.format != FORMAT || head.origin != origin(head.company_id) {
        return Ok(cut("it is of another form"));
    }
    let mut verifier = Verifier::new(keys, head.company_id, head.start);
    let (mut notes, mut begun) = (Vec::new(), false);
    let mut size = None;
    while let Some(next) = lines.next()? {
        match next {
            Line::Checkpoint { number, note } if !begun && notes.len() < MAX_NOTES => {
                notes.push((number, note));
            }
            Line::Sealed(sealed) if size.is_none() => {
                if !begun {
                    verifier.checkpoints(&notes, anchors);
                    begun = true;
                }
                verifier.push(&sealed);
            }
            Line::End { size: end } if size.is_none() => size = Some(end),
            _ => return Ok(cut("its lines are out of order")),
        }
    }
    if !begun {
        verifier.checkpoints(&notes, anchors);
    }
    let mut report = verifier.finish(size);
    if size.is_none() && report.first_fault.is_none() {
        report =
            Report { checked: report.checked, checkpoint: report.checkpoint, ..cut("its end is missing") };
    }
    Ok(report)
}

fn cut(detail: &str) -> Report {
    let fault =
        Fault { id: "export".to_owned(), reason: Reason::Missing, detail: format!("the export: {detail}") };
    Report { valid: false, checked: 0, checkpoint: None, first_fault: Some(fault) }
}

struct Lines<'a, R>(&'a mut R);

impl<R: BufRead> Lines<'_, R> {
    fn next(&mut self) -> Result<Option<Line>, TrailError> {
        let io = |source| TrailError::Io { what: "reading the export", source };
        let mut text = Vec::new();
        std::io::Read::take(&mut *self.0, MAX_LINE).read_until(b'\n', &mut text).map_err(io)?;
        if text.is_empty() {
            return Ok(None);
        }
        serde_json::from_slice(&text).map(Some).map_err(|e| io(e.into()))
    }
}
