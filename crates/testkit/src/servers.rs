//! Addresses of the test servers, from the environment.

/// Superuser URL of PostgreSQL.
///
/// # Panics
/// When `TEST_POSTGRES_URL` is not set.
pub fn postgres_url() -> String {
    required("TEST_POSTGRES_URL")
}

/// URL of RabbitMQ.
///
/// # Panics
/// When `TEST_AMQP_URL` is not set.
pub fn amqp_url() -> String {
    required("TEST_AMQP_URL")
}

/// URL of Redis.
///
/// # Panics
/// When `TEST_REDIS_URL` is not set.
pub fn redis_url() -> String {
    required("TEST_REDIS_URL")
}

fn required(name: &str) -> String {
    std::env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set: run `make test`, which starts the servers"))
}

/// A name that no other test has.
pub fn unique() -> String {
    let bytes = chassis::ids::random_bytes::<6>();
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// Runs `future` to its end on a thread and runtime of its own: for clean-up in `Drop`.
pub(crate) fn block_on(future: impl Future<Output = ()> + Send + 'static) {
    let cleaner = std::thread::spawn(move || {
        if let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() {
            runtime.block_on(future);
        }
    });
    drop(cleaner.join());
}
