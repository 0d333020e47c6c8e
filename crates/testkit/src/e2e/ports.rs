//! Ports for processes under test: a block of their own, so that a restarted service finds its port free.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use anyhow::{Context as _, Result, bail};

/// First port of the first block. Below the range that the system hands out for outgoing connections
/// (Linux: 32768 and up), which a restart must not collide with.
const FIRST: u16 = 20_000;
/// Thousands that hold blocks. The scripts' own servers sit in the first 700 ports of each thousand.
const THOUSANDS: u16 = 12;
/// Where the blocks of a thousand begin, and how long each is.
const OFFSET: u16 = 700;
const SIZE: u16 = 20;
const BLOCKS_PER_THOUSAND: u16 = (1000 - OFFSET) / SIZE;
const BLOCKS: u16 = THOUSANDS * BLOCKS_PER_THOUSAND;

/// Twenty loopback ports that no other test process takes while this lives.
#[derive(Debug)]
pub struct Ports {
    first: u16,
    used: u16,
    _lock: File,
}

impl Ports {
    /// Takes a block.
    ///
    /// # Errors
    /// When the lock folder cannot be written, or every block is taken.
    pub fn take() -> Result<Self> {
        let folder = std::env::temp_dir().join("syncline-test-ports");
        std::fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
        let start = u16::from_le_bytes(chassis::ids::random_bytes());
        for n in 0..BLOCKS {
            let block = start.wrapping_add(n) % BLOCKS;
            let file = File::create(folder.join(block.to_string())).context("opening a port lock")?;
            if file.try_lock().is_err() {
                continue;
            }
            let first =
                FIRST + block / BLOCKS_PER_THOUSAND * 1000 + OFFSET + block % BLOCKS_PER_THOUSAND * SIZE;
            return Ok(Self { first, used: 0, _lock: file });
        }
        bail!("all {BLOCKS} blocks of test ports are taken")
    }

    /// The next free port of the block, as a loopback address.
    ///
    /// # Errors
    /// When the block is used up.
    pub fn address(&mut self) -> Result<SocketAddr> {
        while self.used < SIZE {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.first + self.used));
            self.used += 1;
            if TcpListener::bind(address).is_ok() {
                return Ok(address);
            }
        }
        bail!("the block of test ports from {} is used up", self.first)
    }
}
