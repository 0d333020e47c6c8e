//! What a token says about its bearer.

use std::fmt;
use std::str::FromStr;

use domain::ids::CompanyId;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What a person may do; each role includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Reads.
    Viewer,
    /// Starts, retries and resolves.
    Operator,
    /// Configures.
    Admin,
    /// Owns the organization.
    Owner,
}

impl Role {
    /// The role's name in tokens.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
            Self::Owner => "owner",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let roles = [Self::Viewer, Self::Operator, Self::Admin, Self::Owner];
        roles.into_iter().find(|role| role.as_str() == text).ok_or("must be viewer, operator, admin or owner")
    }
}

/// The claims of a verified token (CONTRACT, conventions).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The person or program.
    pub sub: String,
    /// The organization on whose data they work: a row of `companies`.
    pub org: CompanyId,
    /// What they may do.
    pub role: Role,
    /// End of validity, seconds since 1970.
    pub exp: i64,
    /// Begin of validity, seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<i64>,
    /// Who issued it.
    pub iss: String,
    /// Whom it is for; one text or a list on the wire.
    #[serde(deserialize_with = "one_or_many", serialize_with = "one_when_alone")]
    pub aud: Vec<String>,
}

impl Claims {
    /// Claims for [`super::mint`], which sets `exp`.
    pub fn new(sub: impl Into<String>, org: CompanyId, role: Role, iss: &str, aud: &str) -> Self {
        Self { sub: sub.into(), org, role, exp: 0, nbf: None, iss: iss.to_owned(), aud: vec![aud.to_owned()] }
    }
}

fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    struct Audience;

    impl<'de> Visitor<'de> for Audience {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a text or a list of texts")
        }

        fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
            Ok(vec![value.to_owned()])
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut all = Vec::new();
            while let Some(one) = list.next_element()? {
                all.push(one);
            }
            Ok(all)
        }
    }

    deserializer.deserialize_any(Audience)
}

fn one_when_alone<S: Serializer>(audience: &[String], serializer: S) -> Result<S::Ok, S::Error> {
    match audience {
        [one] => serializer.serialize_str(one),
        many => many.serialize(serializer),
    }
}
