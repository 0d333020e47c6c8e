//! `$filter` and `$orderby` over messages, as far as Outlook is asked for them.

use chrono::{DateTime, Utc};

use super::message::Message;
use crate::microsoft::errors::GraphError;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compare {
    Eq,
    Ne,
    Ge,
    Gt,
    Le,
    Lt,
}

impl Compare {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "eq" => Self::Eq,
            "ne" => Self::Ne,
            "ge" => Self::Ge,
            "gt" => Self::Gt,
            "le" => Self::Le,
            "lt" => Self::Lt,
            _ => return None,
        })
    }

    pub(crate) fn holds<T: Ord>(self, left: &T, right: &T) -> bool {
        match self {
            Self::Eq => left == right,
            Self::Ne => left != right,
            Self::Ge => left >= right,
            Self::Gt => left > right,
            Self::Le => left <= right,
            Self::Lt => left < right,
        }
    }
}

/// One condition.
#[derive(Debug, Clone)]
pub(crate) enum Clause {
    Time {
        property: String,
        compare: Compare,
        at_ms: i64,
    },
    Text {
        property: String,
        compare: Compare,
        value: String,
    },
    Flag {
        property: String,
        value: bool,
    },
    /// An extended property with this id and value.
    Extended {
        id: String,
        value: String,
    },
}

fn refuse(text: &str) -> GraphError {
    GraphError::new(400, "ErrorInvalidUrlQueryFilter", format!("Invalid filter clause: {text}"))
}

/// The quoted strings of a text, with doubled quotes undone.
fn quoted(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter != '\'' {
            continue;
        }
        let mut value = String::new();
        while let Some(inner) = letters.next() {
            if inner != '\'' {
                value.push(inner);
            } else if letters.peek() == Some(&'\'') {
                letters.next();
                value.push('\'');
            } else {
                break;
            }
        }
        found.push(value);
    }
    found
}

/// Splits at ` and ` outside of quotes and brackets.
fn conjuncts(text: &str) -> Vec<&str> {
    let (mut depth, mut inside, mut start, mut parts) = (0_i32, false, 0, Vec::new());
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'\'' => inside = !inside,
            b'(' if !inside => depth += 1,
            b')' if !inside => depth -= 1,
            b' ' if !inside && depth == 0 && text[at..].to_ascii_lowercase().starts_with(" and ") => {
                parts.push(text[start..at].trim());
                start = at + 5;
            }
            _ => {}
        }
    }
    parts.push(text[start.min(text.len())..].trim());
    parts
}

/// Milliseconds of an instant in a filter, quoted or not.
pub(crate) fn instant(text: &str) -> Option<i64> {
    let text = text.trim().trim_matches('\'');
    DateTime::parse_from_rfc3339(text).ok().map(|at| at.with_timezone(&Utc).timestamp_millis())
}

/// Parses a conjunction; a clause that is not understood is refused, never ignored.
pub(crate) fn parse(text: &str) -> Result<Vec<Clause>, GraphError> {
    conjuncts(text).into_iter().map(clause).collect()
}

fn clause(text: &str) -> Result<Clause, GraphError> {
    let text = text.strip_prefix('(').and_then(|text| text.strip_suffix(')')).unwrap_or(text).trim();
    if text.to_ascii_lowercase().starts_with("singlevalueextendedproperties/any") {
        return match quoted(text).as_slice() {
            [id, value] => Ok(Clause::Extended { id: id.clone(), value: value.clone() }),
            _ => Err(refuse(text)),
        };
    }
    let mut words = text.splitn(3, ' ');
    let (Some(property), Some(operator), Some(value)) = (words.next(), words.next(), words.next()) else {
        return Err(refuse(text));
    };
    let compare = Compare::parse(operator).ok_or_else(|| refuse(text))?;
    let property = property.to_owned();
    if property.ends_with("DateTime") {
        let at_ms = instant(value).ok_or_else(|| refuse(text))?;
        return Ok(Clause::Time { property, compare, at_ms });
    }
    let value = value.trim();
    if matches!(value, "true" | "false") && matches!(compare, Compare::Eq | Compare::Ne) {
        return Ok(Clause::Flag { property, value: (value == "true") == (compare == Compare::Eq) });
    }
    let value = quoted(value).pop().ok_or_else(|| refuse(text))?;
    Ok(Clause::Text { property, compare, value })
}

/// Whether a message meets all conditions.
pub(crate) fn matches(clauses: &[Clause], message: &Message) -> Result<bool, GraphError> {
    for clause in clauses {
        let unknown = |property: &str| {
            GraphError::new(400, "BadRequest", format!("Could not find a property named '{property}'."))
        };
        let holds = match clause {
            Clause::Time { property, compare, at_ms } => {
                let time = match property.as_str() {
                    "receivedDateTime" => message.received_ms,
                    "sentDateTime" => message.sent_ms,
                    "createdDateTime" => message.created_ms,
                    "lastModifiedDateTime" => message.modified_ms,
                    other => return Err(unknown(other)),
                };
                // Outlook shows and compares whole seconds.
                compare.holds(&(time / 1000), &(at_ms / 1000))
            }
            Clause::Text { property, compare, value } => {
                let text = match property.as_str() {
                    "internetMessageId" => message.internet_message_id.clone(),
                    "subject" => message.subject.clone(),
                    "importance" => message.importance.clone(),
                    "from/emailAddress/address" => {
                        message.from.as_ref().map(|person| person.address.clone()).unwrap_or_default()
                    }
                    other => return Err(unknown(other)),
                };
                compare.holds(&text, value)
            }
            Clause::Flag { property, value } => match property.as_str() {
                "isRead" => message.is_read == *value,
                "isDraft" => message.is_draft == *value,
                "hasAttachments" => message.attachments.is_empty() != *value,
                other => return Err(unknown(other)),
            },
            Clause::Extended { id, value } => {
                message.extended.iter().any(|(known, text)| known == id && text == value)
            }
        };
        if !holds {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clauses_are_read_or_refused() {
        let text = "receivedDateTime ge 2026-01-01T00:00:00Z and singleValueExtendedProperties/Any(ep: ep/id eq \
                    'String {00020329-0000-0000-C000-000000000046} Name X' and ep/value eq 'it''s') and isRead eq false";
        let clauses = parse(text).unwrap();
        assert_eq!(clauses.len(), 3);
        assert!(matches!(&clauses[1], Clause::Extended { value, .. } if value == "it's"));
        assert!(matches!(&clauses[2], Clause::Flag { value: false, .. }));
        for bad in ["nonsense", "isRead like true", "receivedDateTime ge yesterday", "subject eq plain"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
