//! What a node's manager tells and does for its owner, who is known by a signature of the wallet.

use bytes::Bytes;
use capsule_core::{Error, ErrorKind, Result, Retry};
use http::header::{CONTENT_TYPE, COOKIE, SET_COOKIE};
use http::{HeaderValue, Method, Request};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::config::{Domain, Email};
use crate::outside::{Endpoint, Outside, Reply, Trust};
use crate::owner::Owner;
use crate::signature::{login_text, verify};

/// A login: what the owner's wallet signed for a name. It does not expire; whoever has it is the owner.
#[derive(Debug, Clone)]
pub struct Session {
    /// Who signed.
    pub owner: Owner,
    /// For which name: a node's domain, or [`crate::LOCAL_DOMAIN`] for all that have none.
    pub domain: String,
    /// The time in the text that was signed.
    pub at: Timestamp,
    signature: SecretString,
}

impl Session {
    /// A login whose signature was checked.
    ///
    /// # Errors
    /// As [`verify`].
    pub fn new(owner: Owner, domain: &str, at: Timestamp, signature: SecretString) -> Result<Session> {
        verify(&owner, &login_text(domain, at), &signature)?;
        let text = signature.expose_secret().trim();
        // Nodes want the form that wallets write.
        let digits = text.strip_prefix("0x").unwrap_or(text);
        Ok(Session { owner, domain: domain.to_owned(), at, signature: format!("0x{digits}").into() })
    }

    /// The signature, to be stored where nobody else can read it.
    pub fn signature(&self) -> &SecretString {
        &self.signature
    }
}

/// The manager of one node, as its owner sees it.
#[derive(Debug)]
pub struct Manager<'a> {
    outside: &'a Outside,
    at: Endpoint,
    trust: Trust,
    cookies: SecretString,
}

/// How busy a node is. Bytes, and percent of a core.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Usage {
    /// Each core.
    pub cpu: Vec<Core>,
    /// Memory.
    pub memory: Memory,
    /// Each mounted disk.
    pub disk: Vec<Disk>,
}

/// One core.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Core {
    /// Its name.
    pub name: String,
    /// Percent.
    pub used: f64,
}

/// Memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// Bytes in use.
    pub used: u64,
    /// Bytes there.
    pub total: u64,
}

/// One mounted disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// Where it is mounted.
    pub mount_point: String,
    /// Bytes in use.
    pub used: u64,
    /// Bytes there.
    pub total: u64,
}

impl<'a> Manager<'a> {
    /// Logs in. The node says yes to any signature here; whether it takes it shows at the first question.
    ///
    /// # Errors
    /// [`ErrorKind::Forbidden`] where the node is not known for sure: then nothing is sent. Else as the node answers.
    pub async fn login(outside: &'a Outside, at: &Endpoint, trust: &Trust, session: &Session) -> Result<Manager<'a>> {
        if *trust == Trust::Anyone {
            return Err(Error::new(ErrorKind::Forbidden, "A login is not sent to a node whose key is not known.")
                .with_hint("Run `capsule verify` on it first."));
        }
        if session.domain != at.host {
            let message = format!("The login is for {}, and this node is asked as {}.", session.domain, at.host);
            return Err(Error::new(ErrorKind::Invalid, message)
                .with_hint(format!("Log in for {} with `capsule xnode login --domain {}`.", at.host, at.host)));
        }
        let body = json!({
            "user": session.owner.to_string(),
            "signature": session.signature.expose_secret(),
            "timestamp": session.at.as_second().to_string(),
        });
        let mut request = Request::new(Bytes::from(body.to_string()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = http::Uri::from_static("/xnode-auth/api/login");
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let reply = send(outside, at, trust, request).await?;
        if reply.status != 200 {
            return Err(refused("its login", &reply));
        }
        let pair = |value: &HeaderValue| Some(value.to_str().ok()?.split(';').next()?.trim().to_owned());
        let cookies: Vec<String> = reply.headers.get_all(SET_COOKIE).iter().filter_map(pair).collect();
        if cookies.is_empty() {
            return Err(Error::new(ErrorKind::Protocol, "The node took the login and gave no session for it."));
        }
        Ok(Manager { outside, at: at.clone(), trust: trust.clone(), cookies: cookies.join("; ").into() })
    }

    /// How busy the node is. That it answers proves that the node is the owner's.
    ///
    /// # Errors
    /// [`ErrorKind::Unauthenticated`] when the node belongs to another wallet.
    pub async fn usage(&self) -> Result<Usage> {
        Ok(Usage {
            memory: self.get("/usage/host/memory").await?,
            cpu: self.get("/usage/host/cpu").await?,
            disk: self.get("/usage/host/disk").await?,
        })
    }

    /// Asks the node to answer to `domain`; answers the request's number.
    ///
    /// # Errors
    /// As the node answers.
    pub async fn set_domain(&self, domain: &Domain, email: Option<&Email>) -> Result<u64> {
        #[derive(Deserialize)]
        struct Asked {
            request_id: u64,
        }
        let mut body = json!({ "domain": domain.as_str() });
        if let Some(email) = email {
            body["acme_email"] = email.as_str().into();
        }
        let mut request = Request::new(Bytes::from(body.to_string()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = http::Uri::from_static("/os/set");
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(self.ask::<Asked>(request).await?.request_id)
    }

    /// Whether the request of this number was carried out.
    ///
    /// # Errors
    /// When the node says that it failed, or does not answer.
    pub async fn is_done(&self, request: u64) -> Result<bool> {
        let info: Value = self.get(&format!("/request/{request}/info")).await?;
        match &info["result"] {
            Value::Null => Ok(false),
            Value::Object(result) if result.contains_key("Success") => Ok(true),
            Value::Object(result) if result.contains_key("Error") => {
                let why = result["Error"]["error"].as_str().or(result["Error"].as_str()).unwrap_or("no reason given");
                let why: String = why.chars().filter(|c| !c.is_control()).take(300).collect();
                Err(Error::new(ErrorKind::Invalid, format!("The node could not do it: {why}."))
                    .with_hint("Look at its log, or undo the change."))
            }
            _ => Err(Error::new(ErrorKind::Protocol, "The node says something about the request that makes no sense.")),
        }
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        let mut request = Request::new(Bytes::new());
        *request.uri_mut() = path.parse().expect("it is a path of ours");
        self.ask(request).await
    }

    async fn ask<T: DeserializeOwned>(&self, mut request: Request<Bytes>) -> Result<T> {
        let path = request.uri().path().to_owned();
        let mut cookies = HeaderValue::from_str(self.cookies.expose_secret())
            .map_err(|_| Error::new(ErrorKind::Protocol, "The node's session cannot be sent back to it."))?;
        cookies.set_sensitive(true);
        request.headers_mut().insert(COOKIE, cookies);
        let reply = send(self.outside, &self.at, &self.trust, request).await?;
        match reply.status {
            200 => serde_json::from_slice(&reply.body).map_err(|error| {
                Error::new(ErrorKind::Protocol, format!("The node's answer to {path} makes no sense: {error}."))
            }),
            301..=399 | 401 | 403 => Err(Error::new(
                ErrorKind::Unauthenticated,
                "The node does not take this login: another wallet owns it.",
            )
            .with_hint("Log in with the owner's wallet: `capsule xnode login`.")),
            _ => Err(refused(&path, &reply)),
        }
    }
}

async fn send(outside: &Outside, at: &Endpoint, trust: &Trust, request: Request<Bytes>) -> Result<Reply> {
    outside.send(at, trust, request).await.map_err(|trouble| {
        Error::new(ErrorKind::Unavailable, format!("The node's manager cannot be asked: {trouble}."))
            .with_retry(Retry::Backoff)
    })
}

fn refused(what: &str, reply: &Reply) -> Error {
    Error::new(ErrorKind::Unavailable, format!("The node answered {} to {what}.", reply.status))
        .with_http_status(reply.status)
        .with_retry(Retry::Backoff)
}
