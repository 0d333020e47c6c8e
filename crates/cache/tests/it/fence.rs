//! The shared fence: replicas see each other's windows, slots and budget.

use std::sync::Arc;
use std::time::Duration;

use chassis::time::{SystemClock, deadline, pause};
use outbound::throttle::{Admission, Ask, FenceKey, FenceStore, LaneRules, LayeredFence, WaitReason};

use crate::server::Redis;

const GO: Admission = Admission::Go { exclusive: false };
const TURN: Admission = Admission::Go { exclusive: true };

fn key(tenant: &str) -> FenceKey {
    FenceKey { provider: "microsoft", tenant: tenant.into(), workload: "drives" }
}

fn ask(holder: &str) -> Ask {
    Ask { holder: holder.into(), cost: 1 }
}

async fn after_the_window(fence: &dyn FenceStore, key: &FenceKey) {
    let over = async {
        while let Some(wait) = fence.window(key).await.expect("redis") {
            pause(wait).await;
        }
    };
    deadline("the end of the window", Duration::from_secs(5), over).await.expect("over");
}

#[tokio::test]
async fn replicas_share_window_slot_and_budget() {
    let Some(redis) = Redis::start().await else { return };
    let (one, two) = (redis.cache(&[]).fence().expect("a fence"), redis.cache(&[]).fence().expect("a fence"));
    let rules = LaneRules { units_per_minute: 10, ..LaneRules::default() };
    let key = key("contoso");
    let admit = async |fence: &Arc<dyn FenceStore>, holder: &str| {
        fence.admit(&key, &ask(holder), &rules).await.expect("redis")
    };
    assert_eq!(admit(&one, "a").await, GO);
    assert_eq!(admit(&two, "b").await, GO);
    assert!(one.close(&key, Duration::from_millis(300), &rules).await.expect("redis"));
    assert!(!two.close(&key, Duration::from_millis(100), &rules).await.expect("redis"), "open already");
    assert!(matches!(admit(&two, "b").await, Admission::Wait { reason: WaitReason::Window, .. }));
    after_the_window(two.as_ref(), &key).await;
    assert_eq!(admit(&two, "b").await, TURN);
    assert!(matches!(admit(&one, "a").await, Admission::Wait { reason: WaitReason::Slot, .. }));
    one.release(&key, "a").await.expect("redis");
    assert!(
        matches!(admit(&one, "a").await, Admission::Wait { reason: WaitReason::Slot, .. }),
        "not a's to give"
    );
    two.release(&key, "b").await.expect("redis");
    // Ten units, two spent, halved to four, one spent: three are left.
    for _ in 0..3 {
        assert_eq!(admit(&one, "a").await, TURN);
        one.release(&key, "a").await.expect("redis");
    }
    let Admission::Wait { reason: WaitReason::Budget, wait } = admit(&two, "b").await else {
        panic!("the budget is used up");
    };
    assert!(
        wait > Duration::from_secs(8) && wait <= Duration::from_secs(12),
        "five units a minute: {wait:?}"
    );
    let other = FenceKey { workload: "mail", ..key.clone() };
    assert_eq!(two.admit(&other, &ask("b"), &rules).await.expect("redis"), GO);
}

#[tokio::test]
async fn a_dead_holders_slot_comes_free() {
    let Some(redis) = Redis::start().await else { return };
    let fence = redis.cache(&[]).fence().expect("a fence");
    let rules =
        LaneRules { units_per_minute: 0, slot_life: Duration::from_millis(200), ..LaneRules::default() };
    let key = key("fabrikam");
    assert!(fence.close(&key, Duration::from_millis(1), &rules).await.expect("redis"));
    after_the_window(fence.as_ref(), &key).await;
    assert_eq!(fence.admit(&key, &ask("dead"), &rules).await.expect("redis"), TURN);
    let freed = async {
        while fence.admit(&key, &ask("next"), &rules).await.expect("redis") != TURN {
            pause(Duration::from_millis(20)).await;
        }
    };
    deadline("the end of the slot", Duration::from_secs(5), freed).await.expect("free");
}

#[tokio::test]
async fn without_redis_the_own_fence_stands() {
    let Some(mut redis) = Redis::start().await else { return };
    let fence = LayeredFence::new(Arc::new(SystemClock), redis.cache(&[]).fence());
    let rules = LaneRules::default();
    let key = key("contoso");
    assert_eq!(fence.admit(&key, &ask("a"), &rules).await, GO);
    redis.kill();
    assert_eq!(fence.admit(&key, &ask("a"), &rules).await, GO);
    assert!(fence.close(&key, Duration::from_mins(1), &rules).await);
    assert!(matches!(fence.admit(&key, &ask("b"), &rules).await, Admission::Wait { .. }));
    assert!(fence.window(&key).await.is_some());
}
