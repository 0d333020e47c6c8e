//! Rings the bells: outbox relay, delays, leases, schedules, dead-letter archive.

use std::process::ExitCode;

use chassis::service::ServiceInfo;

fn main() -> ExitCode {
    let info = ServiceInfo { name: "scheduler", admin_default_port: 9102 };
    chassis::service::main(info, scheduler::start)
}
