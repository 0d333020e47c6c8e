//! SQL from outside the product, past row-level security: what is compared must not come from the code under test.

use anyhow::{Context as _, Result};
use serde_json::Value;

/// A database and a role that sees all of it.
#[derive(Debug, Clone)]
pub struct Sql {
    url: String,
}

impl Sql {
    /// `url`: `postgres://user:password@host:port/database`.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into() }
    }

    /// The address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Runs statements.
    ///
    /// # Errors
    /// With the message of the server.
    pub async fn run(&self, script: &str) -> Result<()> {
        store::admin::execute(&self.url, script)
            .await
            .with_context(|| script.chars().take(200).collect::<String>())
    }

    /// The rows of a query as JSON objects.
    ///
    /// # Errors
    /// As [`Sql::run`].
    pub async fn rows(&self, query: &str) -> Result<Vec<Value>> {
        store::admin::rows(&self.url, query)
            .await
            .with_context(|| query.chars().take(200).collect::<String>())
    }

    /// The first value of the first row; `null` without rows.
    ///
    /// # Errors
    /// As [`Sql::run`].
    pub async fn value(&self, query: &str) -> Result<Value> {
        let first = self.rows(query).await?.into_iter().next();
        let object = first.and_then(|row| if let Value::Object(object) = row { Some(object) } else { None });
        Ok(object.and_then(|object| object.into_iter().next()).map_or(Value::Null, |(_, value)| value))
    }

    /// The first value, as a number.
    ///
    /// # Errors
    /// As [`Sql::run`], or that it is no number.
    pub async fn number(&self, query: &str) -> Result<i64> {
        let value = self.value(query).await?;
        value.as_i64().with_context(|| format!("{query}: {value} is no number"))
    }
}

/// Quotes a text as an SQL literal.
pub fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
