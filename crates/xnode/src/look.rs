//! One look at a server from outside: at its ports, its certificate, and what it answers to a stranger.

use std::net::IpAddr;

use bytes::Bytes;
use http::header::LOCATION;
use tokio::join;
use url::Url;

use crate::claim::{CLAIM_PATH, Claim};
use crate::outside::{Endpoint, Outside, Reply, Trouble, Trust};
use crate::sight::{Answer, Sight, Web};

/// Where the login page is.
const LOGIN_PATH: &str = "/xnode-auth";
/// Where the old system answers.
const SSH: u16 = 22;

/// Looks once. Only what any stranger may ask is asked, without cookies.
pub async fn look(outside: &Outside, at: &Endpoint, trust: &Trust) -> Result<Sight, Untrusted> {
    let (ssh, web) = join!(outside.knock(at.ip, SSH), web(outside, at, trust));
    Ok(Sight { ssh, web: web? })
}

/// No authority vouches for the name, and why.
#[derive(Debug, Clone)]
pub struct Untrusted(pub String);

async fn web(outside: &Outside, at: &Endpoint, trust: &Trust) -> Result<Web, Untrusted> {
    let mut first = ask(outside, at, trust, CLAIM_PATH).await;
    // It is an alarm, so it is asked twice.
    if matches!(&first, Ok(reply) if claim(at, reply) == Claim::Unclaimed) {
        first = ask(outside, at, trust, CLAIM_PATH).await;
    }
    let (certificate, answer) = match first {
        Ok(reply) => {
            let claim = claim(at, &reply);
            let login = match claim {
                Claim::Claimed => ask(outside, at, trust, LOGIN_PATH).await.is_ok_and(|reply| reply.status < 500),
                _ => false,
            };
            let words = format!("it answered {}", reply.status);
            (reply.certificate, Answer { claim: Some(claim), login, words })
        }
        Err(Trouble::NoAnswer(why, certificate)) => (certificate, Answer { claim: None, login: false, words: why }),
        Err(Trouble::Port(port)) => return Ok(Web::Shut(port)),
        Err(Trouble::NoTls(why)) => return Ok(Web::NoTls(why)),
        Err(Trouble::Untrusted(why, _)) => return Err(Untrusted(why)),
        Err(Trouble::Changed(seen)) => match trust {
            Trust::Pinned(known) => return Ok(Web::Changed { known: known.clone(), seen }),
            _ => return Ok(Web::NoTls("it shows another key".to_owned())),
        },
    };
    Ok(Web::Tls { certificate, answer })
}

async fn ask(outside: &Outside, at: &Endpoint, trust: &Trust, path: &str) -> Result<Reply, Trouble> {
    let mut request = http::Request::new(Bytes::new());
    *request.uri_mut() = path.parse().expect("it is a path of ours");
    outside.send(at, trust, request).await
}

fn claim(at: &Endpoint, reply: &Reply) -> Claim {
    let Ok(asked) = Url::parse(&format!("https://{}{CLAIM_PATH}", at.host)) else { return Claim::Unclear };
    let location = reply.headers.get(LOCATION).and_then(|location| location.to_str().ok());
    Claim::from_reply(&asked, reply.status, location)
}

impl Endpoint {
    /// A node under the name that every node answers to.
    pub fn local(ip: IpAddr) -> Endpoint {
        Endpoint { ip, host: crate::LOCAL_DOMAIN.to_owned() }
    }

    /// A node under its own domain.
    pub fn domain(ip: IpAddr, domain: &crate::Domain) -> Endpoint {
        Endpoint { ip, host: domain.as_str().to_owned() }
    }
}
