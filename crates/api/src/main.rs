//! REST for operators and applications.

fn main() -> std::process::ExitCode {
    api::main()
}
