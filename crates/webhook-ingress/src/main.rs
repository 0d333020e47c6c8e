//! The public door for providers' notifications.

fn main() -> std::process::ExitCode {
    webhook_ingress::main()
}
