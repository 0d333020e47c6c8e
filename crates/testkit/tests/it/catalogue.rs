//! Row-level security, as the catalogue says.

use contracts::jobs::{SweepDrives, Trigger};
use serde_json::Value;
use store::jobs::{NewJob, enqueue};
use store::{DatabaseConfig, Store};
use testkit::fresh_database;

#[tokio::test]
async fn every_tenant_table_forces_row_level_security() {
    let db = fresh_database().await;
    let open = db
        .rows(
            "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p')
                 AND (c.relname = 'companies' OR EXISTS (SELECT FROM pg_attribute a
                     WHERE a.attrelid = c.oid AND a.attname = 'company_id' AND NOT a.attisdropped))
                 AND NOT (c.relrowsecurity AND c.relforcerowsecurity)",
        )
        .await;
    assert!(open.is_empty(), "tables without forced row-level security: {open:?}");
    let tables = db.number("SELECT count(*) FROM pg_policies WHERE policyname = 'tenant'").await;
    assert!(tables > 10, "only {tables} tenant policies");
}

#[tokio::test]
async fn tables_without_a_company_hold_nothing_of_a_tenant() {
    let db = fresh_database().await;
    let others = db
        .rows(
            "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND NOT EXISTS (
                 SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'company_id')
             ORDER BY 1",
        )
        .await;
    let names: Vec<&str> = others.iter().filter_map(|row| row["relname"].as_str()).collect();
    assert_eq!(
        names,
        ["_sqlx_migrations", "companies", "door_spools"],
        "a new table: give it a company_id or list it here"
    );
}

#[tokio::test]
async fn the_application_role_has_no_way_around_it() {
    let db = fresh_database().await;
    let roles = db
        .rows(
            "SELECT rolname, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb,
                 (SELECT count(*) FROM pg_class c WHERE c.relowner = r.oid) AS owned
             FROM pg_roles r WHERE rolname IN ('syncline_app', 'syncline_dispatch')",
        )
        .await;
    assert_eq!(roles.len(), 2);
    for role in roles {
        for right in ["rolsuper", "rolbypassrls", "rolcreaterole", "rolcreatedb"] {
            assert_eq!(role[right], Value::Bool(false), "{right} of {role}");
        }
        assert_eq!(role["owned"], 0, "{role}");
    }
}

#[tokio::test]
async fn a_tenant_sees_nothing_of_another_and_no_tenant_sees_nothing() {
    let db = fresh_database().await;
    let (mine, theirs) = (db.company().await, db.company().await);
    let mut tx = db.store.tenant(mine).await.expect("a transaction");
    assert!(store::companies::name(&mut tx, mine).await.expect("a query").is_some());
    assert!(store::companies::name(&mut tx, theirs).await.expect("a query").is_none());
    drop(tx);
    let seen = store::admin::rows(&db.app_url, "SELECT count(*) AS n FROM companies").await.expect("a query");
    assert_eq!(seen[0]["n"], 0, "without a company the application role sees no company");
    let seen = store::admin::rows(&db.app_url, "SELECT count(*) AS n FROM jobs").await.expect("a query");
    assert_eq!(seen[0]["n"], 0);
}

#[tokio::test]
async fn a_transaction_whose_beginning_was_abandoned_leaves_its_role_to_nobody() {
    let db = fresh_database().await;
    let (company, other) = (db.company().await, db.company().await);
    let job = NewJob::new(company, &SweepDrives { trigger: Trigger::Manual }, "test").expect("a payload");
    let mut tx = db.store.tenant(company).await.expect("a transaction");
    enqueue(&mut tx, job).await.expect("a job");
    tx.commit().await.expect("a commit");
    let one = DatabaseConfig { max_connections: 1, ..db.config.clone() };
    let store = Store::new(&one, "test").expect("a URL");
    for polls in 0..60 {
        let mut begin = Box::pin(store.dispatch());
        for _ in 0..polls % 20 {
            if futures::poll!(&mut begin).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(begin);
        let mut tx = store.tenant(other).await.expect("a transaction");
        let seen = store::jobs::counts(&mut tx).await.expect("counts");
        assert!(seen.by_kind.is_empty(), "dropped after {polls} polls, it sees another company's {seen:?}");
    }
}
