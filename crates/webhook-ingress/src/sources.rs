//! Who knocks: the address behind a request, and how much strangeness one address may bring.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::extract::{ConnectInfo, Request};
use http::{Extensions, HeaderMap};
use web::rate::RateLimiter;

use crate::memory::{Memory, source_key};

/// Notifications of one address a minute that may be unreadable, unknown or wrongly proven.
const STRANGE_PER_MINUTE: u32 = 600;
/// Longest address that is a key.
const MAX_ADDRESS: usize = 64;

/// The addresses; clones share them.
#[derive(Debug, Clone)]
pub struct Sources {
    /// Proxies in front of us, each of which appends to `X-Forwarded-For`.
    hops: usize,
    strange: RateLimiter,
    good: Memory,
}

impl Sources {
    /// Behind this many proxies; `good` remembers addresses from which a right proof came.
    pub fn new(hops: usize, good: Memory) -> Self {
        Self { hops, strange: RateLimiter::per_minute(STRANGE_PER_MINUTE), good }
    }

    /// The address of a request.
    pub fn of(&self, request: &Request) -> String {
        self.address(request.headers(), request.extensions())
    }

    /// The peer, or what the outermost of our own proxies saw: what stands further left anyone can write.
    pub fn address(&self, headers: &HeaderMap, extensions: &Extensions) -> String {
        let forwarded = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
        let seen: Vec<&str> = forwarded.flat_map(|value| value.split(',')).map(str::trim).collect();
        let named = self.hops.checked_sub(1).and_then(|hop| seen.iter().rev().nth(hop));
        if let Some(address) = named.filter(|address| (1..=MAX_ADDRESS).contains(&address.len())) {
            return (*address).to_owned();
        }
        extensions
            .get::<ConnectInfo<SocketAddr>>()
            .map_or_else(|| "unknown".to_owned(), |ConnectInfo(peer)| peer.ip().to_string())
    }

    /// Time after which an address may come again from which no right proof came lately: each of its deliveries counts
    /// as strange. A good address is never turned away: a proxy that we do not know of may stand for all of them.
    pub fn turned_away(&self, address: &str, now: Instant) -> Option<Duration> {
        if self.good.knows(&source_key(address), now) {
            return None;
        }
        self.strange.check(address, now).retry_after
    }

    /// Notes what an address brought.
    pub fn note(&self, address: &str, strange: usize, friends: bool, now: Instant) {
        if friends {
            self.good.remember(source_key(address), now);
        }
        for _ in 1..strange.min(STRANGE_PER_MINUTE as usize) {
            self.strange.check(address, now);
        }
    }
}
