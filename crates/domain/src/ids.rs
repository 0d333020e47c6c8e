//! Identifiers as types of their own, so that a drive's id is never passed for an item's.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// An identifier that could not be read.
#[derive(Debug, thiserror::Error)]
pub enum IdFault {
    /// The text is empty.
    #[error("empty {what}")]
    Empty {
        /// The kind of identifier.
        what: &'static str,
    },
    /// The text is not a UUID.
    #[error("not a {what}: {text:?}")]
    NotUuid {
        /// The kind of identifier.
        what: &'static str,
        /// What was given instead.
        text: String,
        /// Why the text was refused.
        #[source]
        source: uuid::Error,
    },
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// The bare UUID.
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = IdFault;

            fn from_str(text: &str) -> Result<Self, IdFault> {
                text.parse()
                    .map(Self)
                    .map_err(|source| IdFault::NotUuid { what: $what, text: text.to_owned(), source })
            }
        }
    };
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl $name {
            /// Wraps an identifier that is known to be one, for example because the provider sent it.
            pub fn new(id: impl Into<String>) -> Self {
                Self(id.into())
            }

            /// The bare text.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The bare text, owned.
            pub fn into_string(self) -> String {
                self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = IdFault;

            fn from_str(text: &str) -> Result<Self, IdFault> {
                if text.is_empty() { Err(IdFault::Empty { what: $what }) } else { Ok(Self(text.to_owned())) }
            }
        }
    };
}

uuid_id!(
    /// A tenant: a row of `companies`.
    CompanyId,
    "company id"
);
uuid_id!(
    /// A row of `jobs`.
    JobId,
    "job id"
);
text_id!(
    /// A Microsoft drive, opaque and case-sensitive (case-sensitivity page of the OneDrive documentation).
    DriveId,
    "drive id"
);
text_id!(
    /// An item of a Microsoft drive, unique within its drive, opaque and case-sensitive.
    ItemId,
    "item id"
);
text_id!(
    /// An AO (call for tenders) as the REST interface names it, for example `ao-2503`.
    AoId,
    "AO id"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_plain_json_strings() {
        let id: CompanyId = "6b4c9b1e-6f0b-4f8e-9d53-0d9a7a3c1f10".parse().expect("a uuid");
        assert_eq!(serde_json::to_string(&id).expect("json"), format!("\"{id}\""));
        assert_eq!(serde_json::to_string(&DriveId::new("b!x")).expect("json"), "\"b!x\"");
    }

    #[test]
    fn faults_name_the_kind() {
        assert_eq!("".parse::<ItemId>().expect_err("empty").to_string(), "empty item id");
        assert_eq!("x".parse::<JobId>().expect_err("no uuid").to_string(), "not a job id: \"x\"");
    }
}
