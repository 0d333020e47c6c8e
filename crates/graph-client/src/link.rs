//! Links that the provider gives us: opaque, but never a way to send a token elsewhere.

use outbound::Url;

/// A link that must not be followed with our token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkFault {
    /// Not an address.
    #[error("the link is not an address")]
    NotAnAddress,
    /// Scheme, host or port are not those of the configured Graph.
    #[error("the link leads to {place}, not to the configured Graph")]
    ForeignHost {
        /// Redacted address.
        place: String,
    },
}

/// Reads a nextLink, deltaLink or Location; scheme, host and port must equal those of `base`.
pub fn follow(base: &Url, link: &str) -> Result<Url, LinkFault> {
    let url = base.join(link).map_err(|_| LinkFault::NotAnAddress)?;
    let same = url.scheme() == base.scheme()
        && url.host() == base.host()
        && url.port_or_known_default() == base.port_or_known_default();
    if !same || url.host().is_none() || !url.username().is_empty() || url.password().is_some() {
        return Err(LinkFault::ForeignHost { place: outbound::redact::place(&url) });
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_configured_host_gets_a_token() {
        let base = Url::parse("https://graph.microsoft.com/v1.0").expect("an address");
        for good in [
            "https://graph.microsoft.com/v1.0/drives/b!1/root/delta?token=x",
            "https://graph.microsoft.com:443/v1.0/drives/b!1/root/delta(token='x')",
            "https://GRAPH.microsoft.com/v1.0/me/drive/root/delta?(token='x')",
            "/v1.0/drives/1/root/delta",
        ] {
            assert!(follow(&base, good).is_ok(), "{good}");
        }
        for evil in [
            "http://graph.microsoft.com/v1.0/x",
            "https://graph.microsoft.com.evil.org/v1.0/x",
            "https://graph.microsoft.com@evil.org/",
            "https://user@graph.microsoft.com/",
            "https://graph.microsoft.com:8443/",
            "//evil.org/v1.0",
            "https://evil.org/?u=https://graph.microsoft.com",
            "javascript:alert(1)",
            "https://",
        ] {
            assert!(follow(&base, evil).is_err(), "{evil}");
        }
    }

    #[test]
    fn the_link_is_kept_verbatim() {
        let base = Url::parse("http://127.0.0.1:4010/v1.0").expect("an address");
        let link =
            "http://127.0.0.1:4010/v1.0/drives/b!a/items/01X/microsoft.graph.delta(token='a%2Bb%20c')?$top=2";
        assert_eq!(follow(&base, link).expect("ours").as_str(), link);
    }
}
