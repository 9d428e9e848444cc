//! What a node's answer to a stranger says about who owns it.

use serde::{Deserialize, Serialize};
use url::Url;

/// What is asked, without cookies, to learn a node's [`Claim`]: its own configuration, which is nobody else's business.
pub const CLAIM_PATH: &str = "/os/get";

/// Whether a node is guarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Claim {
    /// It sends strangers to its login.
    Claimed,
    /// It answers strangers: whoever finds it is root on it. An alarm.
    Unclaimed,
    /// The answer says neither: a node that is still starting, or something else at this address.
    Unclear,
}

impl Claim {
    /// What the answer to [`CLAIM_PATH`] at `asked` means: its status and its `location` header.
    ///
    /// Redirects must not have been followed: behind the login page stands a 200 of a claimed node.
    pub fn from_reply(asked: &Url, status: u16, location: Option<&str>) -> Claim {
        let to_login = |location: &str| {
            asked.join(location).is_ok_and(|to| {
                let path = to.path();
                to.origin() == asked.origin() && (path == "/xnode-auth" || path.starts_with("/xnode-auth/"))
            })
        };
        match status {
            200..=299 => Claim::Unclaimed,
            300..=399 if location.is_some_and(to_login) => Claim::Claimed,
            _ => Claim::Unclear,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_redirect_to_its_own_login_is_a_claim() {
        use Claim::*;
        let asked = Url::parse("https://manager.xnode.local").unwrap().join(CLAIM_PATH).unwrap();
        let table = [
            (302, Some("/xnode-auth?redirect=%2Fos%2Fget"), Claimed),
            (302, Some("/xnode-auth"), Claimed),
            (307, Some("/xnode-auth/login"), Claimed),
            (302, Some("https://manager.xnode.local/xnode-auth?a=b"), Claimed),
            (200, None, Unclaimed),
            (200, Some("/xnode-auth"), Unclaimed),
            (204, None, Unclaimed),
            (302, None, Unclear),
            (302, Some("/login"), Unclear),
            (302, Some("/xnode-authority"), Unclear),
            (302, Some("https://elsewhere.org/xnode-auth"), Unclear),
            (301, Some("http://manager.xnode.local/xnode-auth"), Unclear),
            (401, None, Unclear),
            (404, None, Unclear),
            (502, None, Unclear),
        ];
        for (status, location, claim) in table {
            assert_eq!(Claim::from_reply(&asked, status, location), claim, "{status} {location:?}");
        }
    }
}
