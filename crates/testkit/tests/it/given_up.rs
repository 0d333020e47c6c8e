//! A transaction whose beginning was given up halfway must not lend its role to the next one.

use std::time::Duration;

use chassis::time::{deadline, pause};
use serde_json::json;
use store::{DatabaseConfig, Store, admin};
use testkit::proxy::Weather;
use testkit::{fresh_database, within};

#[tokio::test]
async fn a_tenant_never_continues_in_a_dispatchers_transaction() {
    let db = fresh_database().await;
    let company = db.company().await;
    let (proxy, config) = db.proxied().await;
    // One connection, so that the next transaction gets the one that was given up.
    let store =
        Store::new(&DatabaseConfig { max_connections: 1, ..config }, "given-up").expect("a database URL");
    store.ping().await.expect("a connection");
    let own = store.tenant(company).await.expect("a transaction");
    let own = role(own).await;

    let slow = Weather::Slow { latency: Duration::from_millis(60), bytes_per_second: 1_000_000 };
    // Often, since only a beginning that has its connection already leaves something behind.
    for _ in 0..20 {
        proxy.set(slow);
        let given_up = deadline("beginning", Duration::from_millis(30), store.dispatch()).await;
        assert!(given_up.is_err(), "the network is slower than the deadline");
        proxy.open();
        let next = within("the connection is free", store.tenant(company)).await.expect("a transaction");
        assert_eq!(role(next).await, own);
        pause(Duration::from_millis(10)).await;
    }
    let dispatcher = role(store.dispatch().await.expect("a transaction")).await;
    assert_eq!(dispatcher, json!({ "role": "syncline_dispatch" }));
}

async fn role(mut tx: store::Tx) -> serde_json::Value {
    let rows = admin::rows_in(&mut tx, "SELECT current_user AS role").await.expect("a row");
    tx.commit().await.expect("a commit");
    rows.into_iter().next().expect("a row")
}
