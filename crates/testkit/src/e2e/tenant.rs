//! An organization with a drive of its own on a running platform.

use std::time::Duration;

use anyhow::{Result, ensure};
use domain::ids::CompanyId;
use domain::taxonomy::Taxonomy;
use serde_json::{Value, json};
use uuid::Uuid;
use web::auth::{Claims, Role, mint};

use super::caller::{Caller, encode};
use super::expected::{self, Difference, Documents};
use super::patience::wait_until;
use super::platform::{JWT_SECRET, Platform};
use super::sql::quote;

/// Lifetime of a minted token.
const TOKEN: Duration = Duration::from_hours(12);

/// An organization, its administrator's token, and its drive.
#[derive(Debug, Clone)]
pub struct Tenant {
    /// Row of `companies`.
    pub company: Uuid,
    /// Drive id.
    pub drive: String,
    /// REST as the organization's administrator.
    pub api: Caller,
}

impl Tenant {
    /// A new organization for the drive `drive`, which is not registered yet.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn new(platform: &Platform, drive: &str) -> Result<Self> {
        let company = chassis::ids::new_id();
        platform
            .sql
            .run(&format!("INSERT INTO companies (id, name) VALUES ('{company}', {})", quote(drive)))
            .await?;
        let claims = Claims::new("tester", CompanyId(company), Role::Admin, "syncline", "syncline");
        let now = domain::time::Clock::now(&chassis::time::SystemClock);
        let token = mint(&JWT_SECRET.to_owned().into(), claims, now, TOKEN)?;
        let api = Caller::new(platform.http.clone(), &platform.api_url, Some(token))?;
        Ok(Self { company, drive: drive.to_owned(), api })
    }

    /// A new organization with a generated drive, known to the stand-in but not registered yet.
    ///
    /// # Errors
    /// When the stand-in or the database does not answer.
    pub async fn generated(
        platform: &Platform,
        drive: &str,
        seed: u64,
        items: u32,
        options: Value,
    ) -> Result<Self> {
        let spec =
            json!({"id": drive, "kind": "generated", "seed": seed, "items": items, "options": options});
        platform.control.post("/drives", &spec).await?;
        Self::new(platform, drive).await
    }

    /// Registers the drive, which starts its first sync.
    ///
    /// # Errors
    /// When the API refuses.
    pub async fn register(&self) -> Result<()> {
        self.api
            .put(&format!("/api/drives/{}", encode(&self.drive)), &json!({"name": "Test"}))
            .await
            .map(drop)
    }

    /// Lets every removal through: for tests whose random changes remove much.
    ///
    /// # Errors
    /// When the API refuses.
    pub async fn without_mass_change_limit(&self) -> Result<()> {
        let limit = json!({"mass_change": {"share": 1.0, "minimum": 1_000_000}});
        self.api.put("/api/sync/config", &limit).await.map(drop)
    }

    /// Asks for a run of the drive; returns the job's id.
    ///
    /// # Errors
    /// When the API refuses.
    pub async fn sync(&self) -> Result<String> {
        let answer = self.api.post("/api/sync/run", &json!({})).await?;
        Ok(answer["job_id"].as_str().unwrap_or_default().to_owned())
    }

    /// Waits until no job of the organization is under way.
    ///
    /// # Errors
    /// When jobs are left after `limit`, with what holds them.
    pub async fn quiet(&self, platform: &Platform, limit: Duration) -> Result<()> {
        platform.quiet_where(&format!("company_id = '{}'", self.company), limit).await
    }

    /// Runs the drive once more and waits until the organization is quiet.
    ///
    /// # Errors
    /// As [`Tenant::sync`] and [`Tenant::quiet`].
    pub async fn sync_to_end(&self, platform: &Platform, limit: Duration) -> Result<()> {
        self.sync().await?;
        self.quiet(platform, limit).await
    }

    /// What the documents must be.
    ///
    /// # Errors
    /// When the stand-in does not answer.
    pub async fn expected(&self, platform: &Platform) -> Result<Documents> {
        Ok(expected::documents_of(
            &expected::items(&platform.control, &self.drive).await?,
            &Taxonomy::default(),
        ))
    }

    /// What they are.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn found(&self, platform: &Platform) -> Result<Documents> {
        expected::documents_in(&platform.sql, self.company, &self.drive).await
    }

    /// How the documents differ from what they must be.
    ///
    /// # Errors
    /// When the stand-in or the database does not answer.
    pub async fn difference(&self, platform: &Platform) -> Result<Difference> {
        Ok(Difference::between(&self.expected(platform).await?, &self.found(platform).await?))
    }

    /// Fails unless the documents are what they must be; returns how many.
    ///
    /// # Errors
    /// With the differences.
    pub async fn compare(&self, platform: &Platform) -> Result<usize> {
        let expected = self.expected(platform).await?;
        let difference = Difference::between(&expected, &self.found(platform).await?);
        ensure!(difference.is_empty(), "drive {}: {difference}", self.drive);
        Ok(expected.len())
    }

    /// Waits until the documents are what they must be, however that comes about.
    ///
    /// # Errors
    /// With the differences after `limit`.
    pub async fn settled(&self, platform: &Platform, limit: Duration) -> Result<()> {
        let waited = wait_until(limit, "documents follow the drive", async || {
            Ok(self.difference(platform).await?.is_empty())
        });
        match waited.await {
            Ok(()) => Ok(()),
            Err(error) => Err(error.context(self.difference(platform).await?.to_string())),
        }
    }

    /// Documents of the organization, dead rows included.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn rows(&self, platform: &Platform, condition: &str) -> Result<Vec<Value>> {
        let query = format!(
            "SELECT * FROM documents WHERE company_id = '{}' AND {condition} ORDER BY path",
            self.company
        );
        platform.sql.rows(&query).await
    }
}
