//! Which row an event of the provider belongs to: match first, then link, and only then make a new row.

use super::row::Row;
use crate::calendar::event::Original;
use crate::calendar::google::Incoming;

/// One way to find the row of an incoming event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Match {
    /// The row linked to this id of the provider.
    Id(String),
    /// The exception at this place of the series with this id, made here and not linked yet.
    Occurrence(String, Original),
    /// The row of this application's event id.
    Stamp(String),
    /// The row that carries this iCalendar identifier.
    ICalUid(String),
}

/// The ways to find the row, the surest first. Take the first row for which [`may_link`] holds.
pub fn matches(incoming: &Incoming) -> Vec<Match> {
    let mut ways = vec![Match::Id(incoming.id.clone())];
    ways.extend(incoming.minted.clone().map(Match::Id));
    if let Some(series) = &incoming.series {
        // An exception shares stamp and iCalendar identifier with its series.
        ways.push(Match::Occurrence(series.master.clone(), series.original));
        return ways;
    }
    ways.extend(incoming.stamp.iter().map(|stamp| Match::Stamp(stamp.event.clone())));
    ways.extend(incoming.ical_uid.clone().map(Match::ICalUid));
    ways
}

/// Whether `row` may be linked to `incoming`: it already is, or it is linked to nothing that ever
/// existed. A copy that a user made of our event carries our stamp too, and is another event.
pub fn may_link(row: &Row, incoming: &Incoming) -> bool {
    row.place.is_some() == incoming.series.is_some()
        && match &row.link {
            None => true,
            Some(link) => {
                link.id == incoming.id
                    || incoming.minted.as_ref() == Some(&link.id)
                    || (link.base.is_none() && link.sent.is_none() && !link.taken)
            }
        }
}
