//! The only service that talks to Google.

use std::process::ExitCode;

use chassis::service::ServiceInfo;

fn main() -> ExitCode {
    let info = ServiceInfo { name: "gcal-connector", admin_default_port: 9104 };
    chassis::service::main(info, gcal_connector::start)
}
