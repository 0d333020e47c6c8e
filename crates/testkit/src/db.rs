//! A database of its own for each test, with roles as in production.

use chassis::config::SecretSource;
use chassis::secret::Secret;
use domain::ids::CompanyId;
use serde_json::Value;
use store::{DatabaseConfig, Store, StoreError, admin};
use url::Url;

use crate::proxy::Proxy;
use crate::servers::{block_on, postgres_url, unique};

/// Roles of the cluster that the migrations expect, made once whoever comes first.
const ROLES: &str = "
    BEGIN;
    SELECT pg_advisory_xact_lock(7205759403792793600);
    DO $$ BEGIN
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'syncline_dispatch') THEN
            CREATE ROLE syncline_dispatch NOLOGIN;
        END IF;
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'syncline_app') THEN
            CREATE ROLE syncline_app NOLOGIN NOINHERIT;
            GRANT syncline_dispatch TO syncline_app;
        END IF;
    END $$;
    COMMIT;";

/// A migrated database, dropped with this value.
#[derive(Debug)]
pub struct TestDb {
    name: String,
    superuser_url: String,
    /// URL of the schema's owner, who passes row-level security.
    pub owner_url: String,
    /// URL of the application role.
    pub app_url: String,
    /// Settings with [`TestDb::app_url`].
    pub config: DatabaseConfig,
    /// A pool of the application role.
    pub store: Store,
}

/// Makes a database, migrates it as its owner and connects to it as the application role.
///
/// # Panics
/// When `TEST_POSTGRES_URL` is unset or does not lead to a superuser.
pub async fn fresh_database() -> TestDb {
    TestDb::create_at(postgres_url()).await.unwrap_or_else(|error| {
        panic!("cannot make a test database: {}", chassis::telemetry::chain(&error));
    })
}

impl TestDb {
    /// Makes a database on the server of this superuser.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn create_at(superuser_url: String) -> Result<Self, StoreError> {
        let name = format!("t_{}", unique());
        let password = unique() + &unique();
        admin::execute(&superuser_url, ROLES).await?;
        admin::execute(
            &superuser_url,
            &format!(
                "CREATE ROLE {name}_owner LOGIN BYPASSRLS PASSWORD '{password}';
                 CREATE ROLE {name}_app LOGIN PASSWORD '{password}' IN ROLE syncline_app"
            ),
        )
        .await?;
        admin::execute(&superuser_url, &format!("CREATE DATABASE {name} OWNER {name}_owner")).await?;
        let url_of = |role: &str| with_role(&superuser_url, &format!("{name}_{role}"), &password, &name);
        let (owner_url, app_url) = (url_of("owner"), url_of("app"));
        store::migrate::migrate(&owner_url).await?;
        let config = DatabaseConfig {
            url: SecretSource::fixed(Secret::from(app_url.as_str())),
            max_connections: 12,
            acquire: std::time::Duration::from_secs(10),
        };
        let store = Store::new(&config, "test")?;
        Ok(Self { name, superuser_url, owner_url, app_url, config, store })
    }

    /// A proxy in front of the server, and settings of the application role through it.
    ///
    /// # Panics
    /// When no port can be had.
    pub async fn proxied(&self) -> (Proxy, DatabaseConfig) {
        let (proxy, url) = Proxy::before(&self.app_url, 5432).await;
        let config = DatabaseConfig {
            url: SecretSource::fixed(Secret::from(url.as_str())),
            acquire: std::time::Duration::from_secs(2),
            ..self.config.clone()
        };
        (proxy, config)
    }

    /// Rows of a query as the owner, each as a JSON object.
    ///
    /// # Panics
    /// When the query fails.
    pub async fn rows(&self, query: &str) -> Vec<Value> {
        admin::rows(&self.owner_url, query).await.unwrap_or_else(|error| {
            panic!("{query}: {}", chassis::telemetry::chain(&error));
        })
    }

    /// The one number that a query gives.
    ///
    /// # Panics
    /// When it gives something else.
    pub async fn number(&self, query: &str) -> i64 {
        let rows = self.rows(query).await;
        let first = rows.first().and_then(Value::as_object).and_then(|row| row.values().next());
        first.and_then(Value::as_i64).unwrap_or_else(|| panic!("{query} gave {rows:?}, not a number"))
    }

    /// Runs statements as the owner.
    ///
    /// # Panics
    /// When one fails.
    pub async fn execute(&self, sql: &str) {
        if let Err(error) = admin::execute(&self.owner_url, sql).await {
            panic!("{sql}: {}", chassis::telemetry::chain(&error));
        }
    }

    /// A new company.
    ///
    /// # Panics
    /// When it cannot be written.
    pub async fn company(&self) -> CompanyId {
        let id = chassis::ids::new_id();
        self.execute(&format!("INSERT INTO companies (id, name) VALUES ('{id}', 'Test')")).await;
        CompanyId(id)
    }
}

impl Drop for TestDb {
    fn drop(&mut self) {
        let (url, name) = (self.superuser_url.clone(), self.name.clone());
        block_on(async move {
            for sql in [
                format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"),
                format!("DROP ROLE IF EXISTS {name}_owner, {name}_app"),
            ] {
                if let Err(error) = admin::execute(&url, &sql).await {
                    eprintln!("{sql}: {}", chassis::telemetry::chain(&error));
                }
            }
        });
    }
}

fn with_role(url: &str, role: &str, password: &str, database: &str) -> String {
    let mut url = Url::parse(url).expect("TEST_POSTGRES_URL is a URL");
    url.set_username(role).expect("a PostgreSQL URL takes a user name");
    url.set_password(Some(password)).expect("a PostgreSQL URL takes a password");
    url.set_path(database);
    url.into()
}
