//! Reading variables, recording every fault on the way.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use super::{ConfigFaults, Fault, SecretSource};
use crate::secret::{REDACTED, Secret, redact_url};

/// Variables with this prefix are ours alone, so an unknown one is a misspelling.
const PREFIX: &str = "SYNCLINE_";
/// Known to other programs than the services: the CLI's two, and the tests' fixture folder.
const FOREIGN: [&str; 3] = ["SYNCLINE_TOKEN", "SYNCLINE_API_URL", "SYNCLINE_FIXTURES"];
/// Longest part of a wrong value that a fault quotes.
const QUOTED_CHARS: usize = 60;

/// The environment under inspection. Readers return a placeholder and record a fault when a value
/// cannot be used. Blanks around a value do not count; an empty variable is unset.
#[derive(Debug)]
pub struct Env {
    values: BTreeMap<String, String>,
    asked: BTreeSet<String>,
    faults: Vec<Fault>,
    production: bool,
}

impl Env {
    /// The environment of this process.
    pub fn process() -> Self {
        let mut not_text = Vec::new();
        let mut values = BTreeMap::new();
        for (name, value) in std::env::vars_os() {
            let Ok(name) = name.into_string() else { continue };
            match value.into_string() {
                Ok(value) => drop(values.insert(name, value)),
                Err(_) => not_text.push(name),
            }
        }
        let mut env = Self::from_map(values);
        for name in not_text.into_iter().filter(|name| name.starts_with(PREFIX)) {
            env.fault(&name, "is not UTF-8; write it as text");
        }
        env
    }

    /// An environment of these variables only, for tests and for checking a file.
    pub fn from_pairs<N: Into<String>, V: Into<String>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        Self::from_map(pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }

    fn from_map(values: BTreeMap<String, String>) -> Self {
        let mut env = Self { values, asked: BTreeSet::new(), faults: Vec::new(), production: false };
        env.production = match env.string("APP_ENV", "development").as_str() {
            "development" => false,
            "production" => true,
            other => {
                env.fault(
                    "APP_ENV",
                    format!("must be `development` or `production`, got `{}`", quoted(other)),
                );
                true // the stricter rules, so that no fault stays hidden
            }
        };
        env
    }

    /// The value, or `None` when unset or empty.
    pub fn optional(&mut self, name: &str) -> Option<String> {
        self.asked.insert(name.to_owned());
        self.values.get(name).map(|value| value.trim()).filter(|value| !value.is_empty()).map(str::to_owned)
    }

    /// The value; a fault when unset or empty.
    pub fn required(&mut self, name: &str) -> String {
        self.optional(name).unwrap_or_else(|| {
            self.fault(name, "is required, got nothing; set it");
            String::new()
        })
    }

    /// The value, or `default` when unset or empty.
    pub fn string(&mut self, name: &str, default: &str) -> String {
        self.optional(name).unwrap_or_else(|| default.to_owned())
    }

    /// The parsed value, or `default` when unset; a fault when it cannot be parsed.
    pub fn parse<T: FromStr>(&mut self, name: &str, default: T) -> T
    where
        T::Err: Display,
    {
        self.parse_optional(name).unwrap_or(default)
    }

    /// The parsed value, `None` when unset; a fault when it cannot be parsed.
    pub fn parse_optional<T: FromStr>(&mut self, name: &str) -> Option<T>
    where
        T::Err: Display,
    {
        let value = self.optional(name)?;
        match value.parse() {
            Ok(parsed) => Some(parsed),
            Err(error) if is_secret_name(name) => {
                drop::<T::Err>(error); // its text may quote the value
                self.fault(name, format!("cannot be used, got {REDACTED}; correct it"));
                None
            }
            Err(error) => {
                self.fault(name, format!("cannot be used ({error}), got `{}`; correct it", quoted(&value)));
                None
            }
        }
    }

    /// A switch: `true false 1 0 yes no on off`, in any case.
    pub fn flag(&mut self, name: &str, default: bool) -> bool {
        let Some(value) = self.optional(name) else { return default };
        match value.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => true,
            "false" | "0" | "no" | "off" => false,
            _ => {
                self.fault(name, format!("is a switch, got `{}`; write true or false", quoted(&value)));
                default
            }
        }
    }

    /// A duration in whole seconds.
    pub fn seconds(&mut self, name: &str, default: u64) -> Duration {
        Duration::from_secs(self.parse(name, default))
    }

    /// The secret in `name`, or in the file that `{name}_FILE` names; both at once are a fault.
    pub fn secret(&mut self, name: &str) -> Option<SecretSource> {
        let file_name = format!("{name}_FILE");
        let value = self.optional(name);
        let file = self.optional(&file_name);
        match (value, file) {
            (None, None) => None,
            (Some(value), None) => Some(SecretSource::fixed(Secret::from(value))),
            (None, Some(path)) => match SecretSource::file(&file_name, Path::new(&path)) {
                Ok(source) => Some(source),
                Err(error) => {
                    self.fault(&file_name, error.to_string());
                    None
                }
            },
            (Some(_), Some(_)) => {
                self.fault(name, format!("is set together with {file_name}; keep one of them"));
                None
            }
        }
    }

    /// The secret in `name` or `{name}_FILE`; a fault when neither is set.
    pub fn required_secret(&mut self, name: &str) -> SecretSource {
        let before = self.faults.len();
        self.secret(name).unwrap_or_else(|| {
            if self.faults.len() == before {
                self.fault(name, format!("is required, got nothing; set it or {name}_FILE"));
            }
            SecretSource::fixed(Secret::from(""))
        })
    }

    /// Records a fault: "what, got value, do this". Quote no secret in `message`.
    pub fn fault(&mut self, name: &str, message: impl Into<String>) {
        self.faults.push(Fault { name: name.to_owned(), message: message.into() });
    }

    /// Whether `APP_ENV` is `production`, where default secrets are refused.
    pub fn production(&self) -> bool {
        self.production
    }

    /// Ends the inspection.
    ///
    /// # Errors
    /// Every fault recorded, and one for each set `SYNCLINE_*` variable that nobody asked for.
    pub fn finish(mut self) -> Result<(), ConfigFaults> {
        let unknown: Vec<String> = self
            .values
            .keys()
            .filter(|name| name.starts_with(PREFIX))
            .filter(|name| !self.asked.contains(*name) && !FOREIGN.contains(&name.as_str()))
            .cloned()
            .collect();
        for name in unknown {
            self.fault(&name, "is not a variable of this program; correct its name or remove it");
        }
        if self.faults.is_empty() { Ok(()) } else { Err(ConfigFaults(self.faults)) }
    }
}

/// Whether a variable of this name holds something that a fault must not quote.
fn is_secret_name(name: &str) -> bool {
    ["SECRET", "PASSWORD", "TOKEN", "KEY"].iter().any(|word| name.contains(word))
}

/// A value as a fault may show it: credentials of URLs left out, cut to a readable length.
fn quoted(value: &str) -> String {
    let shown = if value.contains("://") { redact_url(value) } else { value.to_owned() };
    match shown.char_indices().nth(QUOTED_CHARS) {
        Some((end, _)) => format!("{}…", &shown[..end]),
        None => shown,
    }
}
