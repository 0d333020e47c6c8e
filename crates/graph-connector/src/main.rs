//! The only service that talks to Microsoft.

use std::process::ExitCode;

use chassis::service::ServiceInfo;

fn main() -> ExitCode {
    let info = ServiceInfo { name: "graph-connector", admin_default_port: 9103 };
    chassis::service::main(info, graph_connector::start)
}
