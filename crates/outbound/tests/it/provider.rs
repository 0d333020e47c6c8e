//! The policy against a scripted provider.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::support::{Provider, client, clock, is_token, script, status, token};
use axum::body::Body;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use domain::throttle::Operation;
use outbound::Method;
use outbound::http::Request;
use outbound::provider::{Call, CallError};
use outbound::throttle::{FenceStore, MemoryFence};

const READ: Call = Call::read("item", Operation::GetItem);
const WRITE: Call = Call::write("create");
const WAIT: Duration = Duration::from_secs(2);

#[tokio::test]
async fn transient_faults_are_retried_and_others_are_not() {
    let faults = vec![status(500, &[]), status(503, &[]), status(408, &[]), status(200, &[])];
    let provider = Provider::start(script(faults)).await;
    let answer = client(&provider, None, WAIT).call(&READ, Request::get(provider.url("/x"))).await.unwrap();
    assert_eq!((answer.status.as_u16(), provider.count()), (200, 5));

    for code in [400, 403, 404, 409, 410, 412, 423, 501, 507] {
        let provider = Provider::start(script(vec![Box::new(move || {
            StatusCode::from_u16(code).unwrap().into_response()
        })]))
        .await;
        let answer =
            client(&provider, None, WAIT).call(&READ, Request::get(provider.url("/x"))).await.unwrap();
        assert_eq!((answer.status.as_u16(), provider.count()), (code, 2), "status {code}");
    }
}

#[tokio::test]
async fn writes_are_not_sent_twice() {
    let provider = Provider::start(script(vec![status(500, &[])])).await;
    let request = Request::new(Method::POST, provider.url("/x"));
    let answer = client(&provider, None, WAIT).call(&WRITE, request).await.unwrap();
    assert_eq!((answer.status.as_u16(), provider.count()), (500, 2));
}

#[tokio::test]
async fn four_failures_open_the_breaker() {
    let provider = Provider::start(script(vec![status(502, &[])])).await;
    let client = client(&provider, None, WAIT);
    let answer = client.call(&READ, Request::get(provider.url("/x"))).await.unwrap();
    assert_eq!((answer.status.as_u16(), client.breaker().status().code), (502, 2));
    let error = client.call(&READ, Request::get(provider.url("/x"))).await.unwrap_err();
    assert!(
        matches!(error, CallError::BreakerOpen { retry_after, .. } if retry_after > Duration::from_secs(50))
    );
    assert_eq!(provider.count(), 5);
}

#[tokio::test]
async fn a_short_silence_is_waited_for_and_a_long_one_is_handed_back() {
    let silence = status(429, &[("retry-after", "0.3")]);
    let provider = Provider::start(script(vec![silence, status(200, &[])])).await;
    let started = Instant::now();
    let answer = client(&provider, None, WAIT).call(&READ, Request::get(provider.url("/x"))).await.unwrap();
    assert_eq!(answer.status.as_u16(), 200);
    assert!(started.elapsed() >= Duration::from_millis(300));

    let provider = Provider::start(script(vec![status(503, &[("retry-after", "120")])])).await;
    let client = client(&provider, None, WAIT);
    let error = client.call(&READ, Request::get(provider.url("/x"))).await.unwrap_err();
    let CallError::Throttled { retry_after, response: Some(response) } = error else { panic!("{error:?}") };
    assert!(retry_after > Duration::from_secs(118) && response.status.as_u16() == 503);
    assert!(client.call(&READ, Request::get(provider.url("/x"))).await.is_err());
    assert_eq!(provider.count(), 2, "nobody calls inside the window");
    assert_eq!(client.breaker().status().code, 0, "throttling is not a failure");
}

#[tokio::test]
async fn a_refused_token_is_replaced_once() {
    let provider =
        Provider::start(|seen| {
            if is_token(&seen) {
                return token(&format!("t{}{}", seen.number, seen.field("claims")));
            }
            assert!(!seen.header("client-request-id").is_empty());
            if seen.header("authorization")
                == r#"Bearer t2{"access_token":{"xms_cc":{"values":["cp1"]}},"x":1}"#
            {
                return StatusCode::OK.into_response();
            }
            let challenge = r#"Bearer error="insufficient_claims", claims="eyJ4IjoxfQ==""#;
            (StatusCode::UNAUTHORIZED, [("www-authenticate", challenge)]).into_response()
        })
        .await;
    let answer = client(&provider, None, WAIT).call(&READ, Request::get(provider.url("/x"))).await.unwrap();
    assert_eq!((answer.status.as_u16(), provider.count()), (200, 4));

    let provider = Provider::start(script(vec![status(401, &[])])).await;
    let answer = client(&provider, None, WAIT).call(&READ, Request::get(provider.url("/x"))).await.unwrap();
    assert_eq!((answer.status.as_u16(), provider.count()), (401, 4));
}

#[tokio::test]
async fn a_cut_body_is_read_again() {
    let cut = || {
        let parts = [Ok("half"), Err(std::io::Error::other("cut"))];
        Body::from_stream(futures::stream::iter(parts)).into_response()
    };
    let provider = Provider::start(script(vec![Box::new(cut), status(200, &[])])).await;
    let answer = client(&provider, None, WAIT).call(&READ, Request::get(provider.url("/x"))).await.unwrap();
    assert_eq!((answer.status.as_u16(), provider.count()), (200, 3));
}

/// Every sixth call opens a window; a call inside it is a violation.
struct GatedProvider {
    window: Mutex<(usize, Option<Instant>)>,
    violations: AtomicUsize,
    windows: AtomicUsize,
}

impl GatedProvider {
    fn answer(&self, form: &str) -> Response {
        const SILENCE: Duration = Duration::from_millis(400);
        let mut window = self.window.lock().unwrap();
        let now = Instant::now();
        if window.1.is_some_and(|until| now < until) {
            self.violations.fetch_add(1, Ordering::SeqCst);
            return StatusCode::TOO_MANY_REQUESTS.into_response();
        }
        window.0 += 1;
        if !window.0.is_multiple_of(6) {
            return StatusCode::OK.into_response();
        }
        window.1 = Some(now + SILENCE);
        self.windows.fetch_add(1, Ordering::SeqCst);
        (StatusCode::TOO_MANY_REQUESTS, [("retry-after", form)]).into_response()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_workers_of_two_replicas_never_call_inside_a_window_after_the_first() {
    let gated = Arc::new(GatedProvider {
        window: Mutex::new((0, None)),
        violations: AtomicUsize::new(0),
        windows: AtomicUsize::new(0),
    });
    let server = Arc::clone(&gated);
    let provider =
        Provider::start(move |seen| if is_token(&seen) { token("t") } else { server.answer("0.4") }).await;
    let shared: Arc<dyn FenceStore> = Arc::new(MemoryFence::new(clock()));
    let replicas = [
        client(&provider, Some(Arc::clone(&shared)), Duration::from_secs(5)),
        client(&provider, Some(shared), Duration::from_secs(5)),
    ];
    // The first window is met by one caller alone: what was on its way before nobody could stop.
    while gated.windows.load(Ordering::SeqCst) == 0 {
        replicas[0].call(&READ, Request::get(provider.url("/x"))).await.unwrap();
    }
    let workers = (0..4).map(|n| {
        let (replica, url) = (&replicas[n % 2], provider.url("/x"));
        async move {
            for _ in 0..6 {
                let answer = replica.call(&READ, Request::get(url.clone())).await.unwrap();
                assert_eq!(answer.status.as_u16(), 200);
            }
        }
    });
    futures::future::join_all(workers).await;
    assert!(gated.windows.load(Ordering::SeqCst) >= 4);
    assert_eq!(gated.violations.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_budget_that_is_used_up_is_silence_before_any_429() {
    let provider = Provider::start(script(vec![Box::new(|| {
        ([("RateLimit-Limit", "1250"), ("RateLimit-Remaining", "0"), ("RateLimit-Reset", "30")], "ok")
            .into_response()
    })]))
    .await;
    let client = client(&provider, None, Duration::from_millis(50));
    let read = Call::read("item", Operation::GetItem);
    let answer = client.call(&read, Request::get(provider.url("/x"))).await.unwrap();
    assert!(answer.status.is_success(), "the answer itself is good");
    let window = client.gate().window().await.expect("a window");
    assert!(window > Duration::from_secs(25) && window <= Duration::from_secs(30), "{window:?}");
    let refused = client.call(&read, Request::get(provider.url("/x"))).await.unwrap_err();
    assert!(matches!(refused, CallError::Throttled { .. }), "{refused}");
}

#[tokio::test]
async fn a_wide_scope_silences_what_is_shared() {
    let provider = Provider::start(|seen| {
        if crate::support::is_token(&seen) {
            return crate::support::token("t");
        }
        let scope = if seen.path.starts_with("/wide") {
            "Tenant_Application/Read/app/tenant"
        } else {
            "Mailbox/Read/a/t"
        };
        let headers = [("retry-after", "20"), ("x-ms-throttle-scope", scope)];
        (axum::http::StatusCode::TOO_MANY_REQUESTS, headers).into_response()
    })
    .await;
    for (path, shared) in [("/narrow", false), ("/wide", true)] {
        let key =
            outbound::throttle::FenceKey { provider: "microsoft", tenant: "t".into(), workload: "mail" };
        let fence = std::sync::Arc::new(outbound::throttle::LayeredFence::new(crate::support::clock(), None));
        let rules = outbound::throttle::LaneRules::default();
        let outer =
            std::sync::Arc::new(outbound::throttle::Gate::new(fence, key, rules, Duration::from_secs(1)));
        let client =
            client(&provider, None, Duration::from_millis(50)).behind(vec![std::sync::Arc::clone(&outer)]);
        let read = Call::read("item", Operation::GetItem);
        client.call(&read, Request::get(provider.url(path))).await.unwrap_err();
        assert!(client.gate().window().await.is_some(), "{path}");
        assert_eq!(outer.window().await.is_some(), shared, "{path}");
    }
}
