use emulator::{DriveOptions, DriveSpec};
use http::Method;

use crate::support::Stage;

/// A large drive is walked in steps that do not grow with it; prints what it cost.
#[tokio::test]
async fn a_large_drive_is_served_page_by_page() {
    let options = DriveOptions { download_url_in_delta: false, ..DriveOptions::default() };
    let stage = Stage::with(vec![DriveSpec { options, ..DriveSpec::generated("d", 3, 50_000) }]).await;
    let usage = async || {
        let body = stage.control(Method::GET, "/usage", "").await.expect(200).json();
        body["cpu_seconds"].as_f64().unwrap()
    };
    let before = usage().await;
    let mut link = "/drives/d/root/delta?$top=1000".to_owned();
    let mut items = 0;
    let last = loop {
        let page = stage.get(&link).await.expect(200);
        let text = String::from_utf8(page.body.to_vec()).unwrap();
        items += text.matches("\"parentReference\"").count();
        // The links come before the items.
        let head = &text[..text.find("\"value\"").unwrap()];
        let quoted = head
            .split('"')
            .find(|part| part.contains("delta") && part.starts_with("http"))
            .unwrap()
            .to_owned();
        if head.contains("@odata.deltaLink") {
            break quoted;
        }
        link = quoted;
    };
    let spent = usage().await - before;
    println!("{items} items in {spent:.2} s of CPU time, client included");
    assert_eq!(items, 50_001);

    // A hundred changes cost the same few calls as in a small drive.
    crate::model::mutate(&stage, 1, 100).await;
    let before = stage.calls().await.len();
    let mut mirror = crate::model::Mirror { link: last, ..Default::default() };
    mirror.round(&stage, "").await;
    let calls = stage.calls().await.len() - before;
    assert!(calls <= 6, "{calls} calls");
    stage.emulator.stop().await;
}
