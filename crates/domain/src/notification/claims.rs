//! Whether a validation token is Microsoft's and meant for us (change-notifications-with-resource-data, Graph v1.0).

use serde::Deserialize;

/// The application that publishes Graph's notifications, in every tenant.
pub const PUBLISHER: &str = "0bf30f3b-4a52-48df-9a82-234910c4a086";
/// Clocks may differ by this much, in seconds.
pub const LEEWAY: i64 = 300;

/// What a token says, as far as it is looked at.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Claims {
    /// For whom it is.
    pub aud: Audience,
    /// Who issued it; names the tenant.
    pub iss: String,
    /// Tenant.
    pub tid: Option<String>,
    /// Publisher, in tokens of version 1.
    pub appid: Option<String>,
    /// Publisher, in tokens of version 2.
    pub azp: Option<String>,
    /// Ends at (seconds since 1970; a fraction is allowed, RFC 7519).
    pub exp: f64,
    /// Begins at.
    pub nbf: Option<f64>,
}

/// One receiver, or several.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Audience {
    /// One.
    One(String),
    /// Several.
    Many(Vec<String>),
}

/// Why a token proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClaimFault {
    /// For another application.
    #[error("it is for another application")]
    Audience,
    /// Not from Microsoft's issuer of the tenant.
    #[error("its issuer is not that of its tenant")]
    Issuer,
    /// Not from the publisher of notifications.
    #[error("it is not of Microsoft's publisher of notifications")]
    Publisher,
    /// Over.
    #[error("it has expired")]
    Expired,
    /// Not yet.
    #[error("it is not valid yet")]
    Early,
}

/// Checks the claims of a token whose signature is good, and returns the tenant that it speaks for, in lower case.
/// `applications` are our client ids, `now` is in seconds since 1970.
///
/// # Errors
/// [`ClaimFault`].
pub fn tenant(claims: &Claims, applications: &[String], now: i64) -> Result<String, ClaimFault> {
    let ours = |aud: &String| applications.iter().any(|app| app.eq_ignore_ascii_case(aud));
    let meant = match &claims.aud {
        Audience::One(aud) => ours(aud),
        Audience::Many(all) => all.iter().any(ours),
    };
    if !meant {
        return Err(ClaimFault::Audience);
    }
    let (tenant, publisher) = issuer(&claims.iss)
        .map(|(tenant, second)| (tenant, if second { &claims.azp } else { &claims.appid }))
        .ok_or(ClaimFault::Issuer)?;
    if claims.tid.as_deref().is_some_and(|tid| !tid.eq_ignore_ascii_case(tenant)) {
        return Err(ClaimFault::Issuer);
    }
    if !publisher.as_deref().is_some_and(|id| id.eq_ignore_ascii_case(PUBLISHER)) {
        return Err(ClaimFault::Publisher);
    }
    #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 fit into 53 bits")]
    let (earliest, latest) = ((now - LEEWAY) as f64, (now + LEEWAY) as f64);
    // A number that is none compares with nothing: neither may then be true.
    if claims.exp.is_nan() || claims.exp <= earliest {
        return Err(ClaimFault::Expired);
    }
    if claims.nbf.is_some_and(|nbf| nbf.is_nan() || nbf > latest) {
        return Err(ClaimFault::Early);
    }
    Ok(tenant.to_ascii_lowercase())
}

/// Tenant of an issuer, and whether it is one of version 2.
fn issuer(iss: &str) -> Option<(&str, bool)> {
    let first = iss.strip_prefix("https://sts.windows.net/").and_then(|rest| rest.strip_suffix('/'));
    let second =
        || iss.strip_prefix("https://login.microsoftonline.com/").and_then(|rest| rest.strip_suffix("/v2.0"));
    let (tenant, version) =
        first.map(|tenant| (tenant, false)).or_else(|| second().map(|tenant| (tenant, true)))?;
    uuid::Uuid::try_parse(tenant).ok().map(|_| (tenant, version))
}

#[cfg(test)]
mod tests {
    use super::*;

    const APP: &str = "8e460676-ae3f-4b1e-8790-ee0fb5d6148f";
    const TENANT: &str = "84bd8158-6d4d-4958-8b9f-9d6445542f95";
    const NOW: i64 = 1_700_000_000;

    #[expect(clippy::cast_precision_loss, reason = "a constant that fits")]
    fn good() -> Claims {
        Claims {
            aud: Audience::One(APP.to_owned()),
            iss: format!("https://sts.windows.net/{TENANT}/"),
            tid: Some(TENANT.to_owned()),
            appid: Some(PUBLISHER.to_owned()),
            azp: None,
            exp: (NOW + 60) as f64,
            nbf: Some(NOW as f64),
        }
    }

    fn check(change: impl FnOnce(&mut Claims)) -> Result<String, ClaimFault> {
        let mut claims = good();
        change(&mut claims);
        tenant(&claims, &[APP.to_owned()], NOW)
    }

    #[test]
    fn both_versions_speak_for_their_tenant() {
        assert_eq!(check(|_| ()).as_deref(), Ok(TENANT));
        let second = check(|c| {
            c.iss = format!("https://login.microsoftonline.com/{}/v2.0", TENANT.to_uppercase());
            (c.azp, c.appid, c.tid) = (c.appid.take(), None, None);
        });
        assert_eq!(second.as_deref(), Ok(TENANT));
        let many = check(|c| c.aud = Audience::Many(vec!["x".to_owned(), APP.to_uppercase()]));
        assert_eq!(many.as_deref(), Ok(TENANT));
    }

    #[test]
    fn each_fault_is_found_alone() {
        type Change = fn(&mut Claims);
        let cases: [(Change, ClaimFault); 12] = [
            (|c| c.aud = Audience::One("other".to_owned()), ClaimFault::Audience),
            (|c| c.aud = Audience::Many(Vec::new()), ClaimFault::Audience),
            (|c| c.iss = format!("https://sts.windows.net/{TENANT}"), ClaimFault::Issuer),
            (|c| c.iss = format!("https://sts.windows.net.evil/{TENANT}/"), ClaimFault::Issuer),
            (|c| c.iss = "https://sts.windows.net/common/".to_owned(), ClaimFault::Issuer),
            (|c| c.tid = Some("11111111-2222-3333-4444-555555555555".to_owned()), ClaimFault::Issuer),
            (|c| c.appid = None, ClaimFault::Publisher),
            // The other version's name for the publisher does not count.
            (|c| c.azp = c.appid.take(), ClaimFault::Publisher),
            (|c| c.appid = Some(APP.to_owned()), ClaimFault::Publisher),
            (|c| c.exp -= 360.0, ClaimFault::Expired),
            (|c| c.exp = f64::NAN, ClaimFault::Expired),
            (|c| c.nbf = c.nbf.map(|nbf| nbf + 301.0), ClaimFault::Early),
        ];
        for (number, (change, fault)) in cases.into_iter().enumerate() {
            assert_eq!(check(change), Err(fault), "case {number}");
        }
        assert!(check(|c| c.exp -= 359.0).is_ok(), "clocks differ");
        assert!(check(|c| c.nbf = c.nbf.map(|nbf| nbf + 300.0)).is_ok(), "clocks differ");
        assert_eq!(tenant(&good(), &[], NOW), Err(ClaimFault::Audience));
    }
}
