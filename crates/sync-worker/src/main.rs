//! `sync-worker`: runs the sync jobs.

use std::process::ExitCode;

use chassis::service::ServiceInfo;

fn main() -> ExitCode {
    chassis::service::main(ServiceInfo { name: "sync-worker", admin_default_port: 9105 }, sync_worker::start)
}
