//! A Redis of the test's own, on loopback.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use cache::{Cache, CacheConfig};
use chassis::config::{Env, FromEnv};
use chassis::time::{SystemClock, deadline, pause};

pub struct Redis {
    port: u16,
    child: Option<Child>,
}

impl Redis {
    /// `None`, with a message, on a machine without Redis.
    pub async fn start() -> Option<Self> {
        let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
        let mut redis = Self { port, child: None };
        if redis.spawn().await { Some(redis) } else { None }
    }

    pub async fn spawn(&mut self) -> bool {
        let port = self.port.to_string();
        let spawned = Command::new("redis-server")
            .args([
                "--port",
                &port,
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--appendonly",
                "no",
                "--daemonize",
                "no",
            ])
            .stdout(Stdio::null())
            .spawn();
        match spawned {
            Ok(child) => self.child = Some(child),
            Err(error) => {
                eprintln!("skipped: redis-server: {error}");
                return false;
            }
        }
        let listening = async {
            while tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await.is_err() {
                pause(Duration::from_millis(10)).await;
            }
        };
        deadline("redis", Duration::from_secs(10), listening).await.expect("redis listens");
        true
    }

    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("killed");
            child.wait().expect("reaped");
        }
    }

    pub fn cache(&self, more: &[(&str, &str)]) -> Cache {
        let url = format!("redis://127.0.0.1:{}", self.port);
        let mut pairs = vec![("CACHE_PROVIDER", "redis"), ("REDIS_URL", url.as_str())];
        pairs.extend_from_slice(more);
        let mut env = Env::from_pairs(pairs);
        let config = CacheConfig::from_env(&mut env);
        env.finish().expect("a configuration");
        Cache::new(&config, std::sync::Arc::new(SystemClock)).expect("a cache")
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}
