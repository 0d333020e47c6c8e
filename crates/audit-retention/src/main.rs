//! `audit-retention`: keeps the audit trail.

use std::process::ExitCode;

use chassis::service::ServiceInfo;

fn main() -> ExitCode {
    let info = ServiceInfo { name: "audit-retention", admin_default_port: 9106 };
    chassis::service::main(info, audit_retention::start)
}
