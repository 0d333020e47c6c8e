//! Values, scopes, times, and a Redis that goes away.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cache::{Cache, CacheConfig, Kind};
use chassis::config::{Env, FromEnv};
use chassis::time::{SystemClock, deadline, pause};

use crate::server::Redis;

async fn behaves_as_a_cache(cache: &Cache) {
    assert_eq!(cache.get::<String>(Kind::Delta, "ao-2503").await, None);
    cache.set(Kind::Delta, "ao-2503", &"link").await;
    cache.set(Kind::Item, "ao-2503:d:1", &1).await;
    cache.set(Kind::Item, "ao-25:d:1", &2).await;
    assert_eq!(cache.get::<String>(Kind::Delta, "ao-2503").await.as_deref(), Some("link"));
    assert_eq!(cache.get::<u8>(Kind::Delta, "ao-2503").await, None, "another type is a miss");
    assert_eq!(cache.clear(Some("ao-2503")).await, 2);
    assert_eq!(cache.get::<u8>(Kind::Item, "ao-25:d:1").await, Some(2));
    for n in 0..1_200 {
        cache.set(Kind::List, &format!("d:{n}"), &n).await;
    }
    assert_eq!(cache.clear(Some("d")).await, 1_200);
    assert_eq!(cache.clear(None).await, 1);
    let status = cache.status().await;
    assert!(status.connected && status.hits >= 2 && status.misses >= 1, "{status:?}");
}

async fn forgets(cache: &Cache) {
    cache.set(Kind::Item, "x", &1).await;
    assert_eq!(cache.get::<u8>(Kind::Item, "x").await, Some(1));
    let gone = async {
        while cache.get::<u8>(Kind::Item, "x").await.is_some() {
            pause(Duration::from_millis(50)).await;
        }
    };
    deadline("the end of the value's life", Duration::from_secs(5), gone).await.expect("forgotten");
}

#[tokio::test]
async fn in_memory() {
    let mut env = Env::from_pairs([("CACHE_TTL_ITEM_SECONDS", "1")]);
    let cache = Cache::new(&CacheConfig::from_env(&mut env), Arc::new(SystemClock)).expect("a cache");
    behaves_as_a_cache(&cache).await;
    forgets(&cache).await;
    assert!(cache.fence().is_none());
    assert_eq!(cache.ping_redis().await, None);
}

#[tokio::test]
async fn in_redis() {
    let Some(redis) = Redis::start().await else { return };
    let cache = redis.cache(&[("CACHE_TTL_ITEM_SECONDS", "1")]);
    behaves_as_a_cache(&cache).await;
    forgets(&cache).await;
}

#[tokio::test]
async fn redis_away_is_a_miss_and_quick() {
    let Some(mut redis) = Redis::start().await else { return };
    let cache = redis.cache(&[]);
    cache.set(Kind::Drive, "d", &1).await;
    assert_eq!(cache.get::<u8>(Kind::Drive, "d").await, Some(1));
    redis.kill();
    let started = Instant::now();
    for _ in 0..100 {
        assert_eq!(cache.get::<u8>(Kind::Drive, "d").await, None);
        cache.set(Kind::Drive, "d", &1).await;
    }
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    assert_eq!(cache.clear(None).await, 0);
    assert!(!cache.status().await.connected);
    assert!(redis.spawn().await);
    let back = async {
        while cache.get::<u8>(Kind::Drive, "d").await.is_none() {
            cache.set(Kind::Drive, "d", &2).await;
            pause(Duration::from_millis(50)).await;
        }
    };
    deadline("redis in use again", Duration::from_secs(10), back).await.expect("in use again");
}
