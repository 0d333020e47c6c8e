//! `chaos_worker`: the worker that the job campaign kills.

use std::process::ExitCode;

use chassis::service::ServiceInfo;
use testkit::jobs_campaign::worker;

fn main() -> ExitCode {
    chassis::service::main(ServiceInfo { name: "chaos-worker", admin_default_port: 0 }, worker::start)
}
