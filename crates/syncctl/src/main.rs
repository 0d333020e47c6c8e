//! The command line of Syncline.

fn main() -> std::process::ExitCode {
    syncctl::main()
}
