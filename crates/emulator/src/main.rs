//! Stand-in for Microsoft identity and Graph drives, for development, demo and tests only.

use clap::Parser as _;

fn main() -> anyhow::Result<()> {
    emulator::Cli::parse().run()
}
