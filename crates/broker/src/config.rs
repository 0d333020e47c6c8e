//! `AMQP_URL` and the prefix of the topology's names.

use std::str::FromStr;

use chassis::config::{Env, FromEnv, SecretSource};
use chassis::secret::Secret;
use lapin::uri::AMQPUri;

/// Where a fresh RabbitMQ listens; not accepted in production.
const DEFAULT_URL: &str = "amqp://guest:guest@127.0.0.1:5672/%2f";
/// Longest prefix, so that every name stays below the 255 bytes of a short string.
const MAX_PREFIX: usize = 60;

/// Connection settings.
#[derive(Debug, Clone)]
pub struct BrokerConfig {
    /// `AMQP_URL` (default: the guest account on this machine): `amqp://` or `amqps://`.
    pub url: SecretSource,
    /// `AMQP_PREFIX` (default empty): put before every exchange and queue name, so that several
    /// installations can share a virtual host.
    pub prefix: String,
}

impl FromEnv for BrokerConfig {
    fn from_env(env: &mut Env) -> Self {
        let url = env.secret("AMQP_URL").unwrap_or_else(|| {
            if env.production() {
                env.fault("AMQP_URL", "is required in production, got nothing; set it or AMQP_URL_FILE");
            }
            SecretSource::fixed(Secret::from(DEFAULT_URL))
        });
        if AMQPUri::from_str(url.current().expose()).is_err() {
            // The parser's text may quote the URL and so the password.
            env.fault("AMQP_URL", "is not an AMQP URL; write amqp://user:password@host:5672/%2f");
        }
        let prefix = env.string("AMQP_PREFIX", "");
        let fits = prefix.len() <= MAX_PREFIX
            && prefix.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
        if !fits {
            env.fault("AMQP_PREFIX", format!("has at most {MAX_PREFIX} letters, digits, `.`, `-` and `_`"));
        }
        Self { url, prefix: if fits { prefix } else { String::new() } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> (BrokerConfig, String) {
        let mut env = Env::from_pairs(pairs.iter().copied());
        let config = BrokerConfig::from_env(&mut env);
        (config, env.finish().err().map(|faults| faults.to_string()).unwrap_or_default())
    }

    #[test]
    fn the_default_is_for_development_only() {
        assert_eq!(read(&[]).1, "");
        assert!(read(&[("APP_ENV", "production")]).1.contains("AMQP_URL"));
    }

    #[test]
    fn faults_do_not_show_the_password() {
        let (config, faults) = read(&[("AMQP_URL", "http://a:hunter2@h/"), ("AMQP_PREFIX", "a b")]);
        assert!(faults.contains("AMQP_URL") && faults.contains("AMQP_PREFIX"), "{faults}");
        assert!(!faults.contains("hunter2") && !format!("{config:?}").contains("hunter2"));
    }
}
