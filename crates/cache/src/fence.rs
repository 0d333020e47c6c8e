//! The throttle fence in Redis: one hash for each fence, one script for each step, Redis's own clock.

use std::sync::Arc;
use std::time::Duration;

use deadpool_redis::redis::Script;
use outbound::throttle::{Admission, Ask, FenceError, FenceKey, FenceStore, LaneRules, WaitReason};

use crate::redis_store::{Away, RedisStore};

/// How long a connector may wait for its answer; the fence asks before every call.
const DEADLINE: Duration = Duration::from_millis(100);

/// Shared by both scripts: reads the hash and refills the budget, exactly as `outbound::throttle::Lane` does.
macro_rules! script {
    ($body:literal) => {
        concat!(
            r"
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local full = tonumber(ARGV[1])
local capacity = tonumber(ARGV[#ARGV])
local h = redis.call('HMGET', KEYS[1], 'until', 'slot', 'slot_until', 'level', 'rate', 'at')
local open_until = tonumber(h[1]) or 0
local level = tonumber(h[4]) or capacity
local rate = tonumber(h[5]) or full
local at = tonumber(h[6]) or now
if full > 0 and now > at then
  local minutes = (now - at) / 60000
  level = math.min(level + minutes * rate, capacity)
  rate = math.min(rate + minutes * full / 10, full)
  at = now
end
",
            $body
        )
    };
}

/// ARGV: full, holder, cost, caution ms, slot life ms, capacity. Answers {verdict, ms}: 0 go (1 = exclusive), 1 window,
/// 2 slot, 3 budget.
const ADMIT: &str = script!(
    r"
if open_until > now then return {1, open_until - now} end
local exclusive = open_until > 0 and now < open_until + tonumber(ARGV[4])
if exclusive and h[2] and h[2] ~= ARGV[2] and now < (tonumber(h[3]) or 0) then return {2, 10} end
if full > 0 then
  local cost = math.min(tonumber(ARGV[3]), capacity)
  if level < cost then
    return {3, math.ceil((cost - level) * 60000 / math.max(rate, 0.001)) + 1}
  end
  redis.call('HSET', KEYS[1], 'level', tostring(level - cost), 'rate', tostring(rate), 'at', at)
  redis.call('PEXPIRE', KEYS[1], math.max(1200000, open_until - now + 1200000))
end
if exclusive then
  redis.call('HSET', KEYS[1], 'slot', ARGV[2], 'slot_until', now + tonumber(ARGV[5]))
  return {0, 1}
end
return {0, 0}
"
);

/// ARGV: full, wait ms, capacity. Answers 1 when the window was not open before.
const CLOSE: &str = script!(
    r"
local fresh = open_until <= now
local asked = now + tonumber(ARGV[2])
if asked > open_until then redis.call('HSET', KEYS[1], 'until', asked) end
if fresh and full > 0 then
  rate = math.max(rate / 2, full * 0.25)
  redis.call('HSET', KEYS[1], 'level', tostring(level / 2), 'rate', tostring(rate), 'at', at)
end
redis.call('PEXPIRE', KEYS[1], tonumber(ARGV[2]) + 1200000)
if fresh then return 1 end
return 0
"
);

/// ARGV: holder.
const RELEASE: &str = r"
if redis.call('HGET', KEYS[1], 'slot') == ARGV[1] then
  redis.call('HDEL', KEYS[1], 'slot', 'slot_until')
end
return 0
";

/// Answers what is left of the window in ms.
const WINDOW: &str = r"
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local open_until = tonumber(redis.call('HGET', KEYS[1], 'until')) or 0
return math.max(open_until - now, 0)
";

#[derive(Debug)]
pub(crate) struct RedisFence {
    redis: Arc<RedisStore>,
    admit: Script,
    close: Script,
    release: Script,
    window: Script,
}

impl RedisFence {
    pub(crate) fn new(redis: Arc<RedisStore>) -> Self {
        Self {
            redis,
            admit: Script::new(ADMIT),
            close: Script::new(CLOSE),
            release: Script::new(RELEASE),
            window: Script::new(WINDOW),
        }
    }
}

fn redis_key(key: &FenceKey) -> String {
    format!("fence:{key}")
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn fault(away: Away) -> FenceError {
    FenceError { reason: away.0 }
}

#[async_trait::async_trait]
impl FenceStore for RedisFence {
    async fn admit(&self, key: &FenceKey, ask: &Ask, rules: &LaneRules) -> Result<Admission, FenceError> {
        let mut call = self.admit.key(redis_key(key));
        call.arg(rules.units_per_minute)
            .arg(&ask.holder)
            .arg(ask.cost)
            .arg(millis(rules.caution))
            .arg(millis(rules.slot_life))
            .arg(rules.capacity());
        let (verdict, number): (u8, u64) =
            self.redis.run(DEADLINE, async |c| call.invoke_async(c).await).await.map_err(fault)?;
        let wait = Duration::from_millis(number);
        Ok(match verdict {
            0 => Admission::Go { exclusive: number == 1 },
            1 => Admission::Wait { reason: WaitReason::Window, wait },
            2 => Admission::Wait { reason: WaitReason::Slot, wait },
            _ => Admission::Wait { reason: WaitReason::Budget, wait },
        })
    }

    async fn close(&self, key: &FenceKey, wait: Duration, rules: &LaneRules) -> Result<bool, FenceError> {
        let mut call = self.close.key(redis_key(key));
        call.arg(rules.units_per_minute).arg(millis(wait)).arg(rules.capacity());
        let fresh: u8 =
            self.redis.run(DEADLINE, async |c| call.invoke_async(c).await).await.map_err(fault)?;
        Ok(fresh == 1)
    }

    async fn release(&self, key: &FenceKey, holder: &str) -> Result<(), FenceError> {
        let mut call = self.release.key(redis_key(key));
        call.arg(holder);
        let _: u8 = self.redis.run(DEADLINE, async |c| call.invoke_async(c).await).await.map_err(fault)?;
        Ok(())
    }

    async fn window(&self, key: &FenceKey) -> Result<Option<Duration>, FenceError> {
        let call = self.window.key(redis_key(key));
        let left: u64 =
            self.redis.run(DEADLINE, async |c| call.invoke_async(c).await).await.map_err(fault)?;
        Ok((left > 0).then(|| Duration::from_millis(left)))
    }
}
