use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use capsule_core::{Error, ErrorKind, Result};
use capsule_xnode::{Domain, Email, Endpoint, LOCAL_DOMAIN, Owner, Session as Login, Trust, Web, login_text};
use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCandidates;
use jiff::{SignedDuration, Timestamp};

use super::verify::nodes;
use super::xnode_args::{Block, XnodeArgs, no_owner};
use super::{Outcome, ask, finish};
use crate::complete;
use crate::nodes::{Checker, Node, address};
use crate::output;
use crate::session::Session;

/// What concerns xNodes alone
#[derive(Debug, Args)]
pub struct Xnode {
    #[command(subcommand)]
    command: XnodeCommand,
}

#[derive(Debug, Subcommand)]
enum XnodeCommand {
    /// Print the user-data that a deploy with the same flags would send, for review
    ///
    /// A console password is shown as <hidden>.
    UserData {
        #[command(flatten)]
        xnode: XnodeArgs,
        /// Text for cloud-init to merge it with, from a file
        #[arg(long, value_name = "FILE")]
        user_data: Option<PathBuf>,
    },
    /// Store a signature of the owner's wallet, which logs into xNodes
    ///
    /// Prints the exact text to sign with the wallet's personal-sign and takes the signature at a prompt, or from a file. It does
    /// not expire: one for manager.xnode.local opens every xNode of that owner that has no domain. It is kept readable by you
    /// alone, and sent to no node whose key is not known.
    Login {
        /// The wallet [default: `owner` under `xnode` in the config file]
        #[arg(long, value_name = "eth:ADDRESS")]
        owner: Option<String>,
        /// The xNode's own domain; left out, all that have none
        #[arg(long, value_name = "DOMAIN")]
        domain: Option<String>,
        /// Print the text to sign, and stop
        #[arg(long, conflicts_with_all = ["at", "signature_file"])]
        print: bool,
        /// The seconds in the text that was signed, where it was printed earlier
        #[arg(long, value_name = "SECONDS")]
        at: Option<i64>,
        /// The signature, from a file
        #[arg(long, value_name = "FILE", requires = "at")]
        signature_file: Option<PathBuf>,
    },
    /// Let an xNode answer to a domain: wait for its record, set it, wait for its certificate
    ///
    /// Where there is a login for the xNode, the domain is set through its manager; otherwise it must know it since its deploy.
    Domain {
        /// The xNode: its id, unique name or unique prefix
        #[arg(add = ArgValueCandidates::new(complete::servers))]
        node: String,
        /// The domain
        domain: String,
        /// Where the certificate authority writes to
        #[arg(long, value_name = "MAIL")]
        acme_email: Option<String>,
        /// How long to wait for the record and for the certificate, each
        #[arg(long, value_name = "TIME", value_parser = super::deploy::duration, default_value = "30m")]
        timeout: Duration,
    },
    #[command(external_subcommand)]
    Original(Vec<OsString>),
}

impl Xnode {
    /// Whether it is none of today's commands: the original had more.
    pub(super) fn is_original(&self) -> bool {
        matches!(self.command, XnodeCommand::Original(_))
    }

    /// The words of a command of the original.
    pub(super) fn words(self) -> Vec<OsString> {
        let rest = if let XnodeCommand::Original(words) = self.command { words } else { Vec::new() };
        std::iter::once("xnode".into()).chain(rest).collect()
    }
}

pub(super) async fn run(session: &Session, args: Xnode) -> Outcome {
    match args.command {
        XnodeCommand::Original(_) => unreachable!("carried out before there is a session"),
        XnodeCommand::UserData { xnode, user_data } => show_user_data(session, &xnode, user_data.as_deref()),
        XnodeCommand::Login { owner, domain, print, at, signature_file } => {
            let owner = match owner {
                Some(owner) => owner.parse()?,
                None => Block::read(session)?.owner()?.ok_or_else(no_owner)?,
            };
            let domain = domain.map(|domain| domain.parse::<Domain>()).transpose()?;
            login(session, owner, domain, print, at, signature_file)
        }
        XnodeCommand::Domain { node, domain, acme_email, timeout } => {
            let wish = Wish {
                domain: domain.parse()?,
                email: acme_email.map(|email| email.parse()).transpose()?,
                timeout: timeout / session.pace(),
            };
            finish::interruptible(set_domain(session, &node, wish)).await?
        }
    }
}

fn show_user_data(session: &Session, args: &XnodeArgs, own: Option<&std::path::Path>) -> Outcome {
    let told = args.user_data(session, own)?.ok_or_else(no_owner)?;
    if session.json() {
        output::json(&serde_json::json!({ "user_data": told.shown, "bytes": told.sent.len() }))?;
    } else {
        output::text(&told.shown)?;
    }
    Ok(())
}

fn login(
    session: &Session,
    owner: Owner,
    domain: Option<Domain>,
    print: bool,
    at: Option<i64>,
    file: Option<PathBuf>,
) -> Outcome {
    let host = domain.as_ref().map_or(LOCAL_DOMAIN, Domain::as_str);
    let at = match at {
        None => session.clock.now(),
        Some(seconds) => Timestamp::from_second(seconds)
            .map_err(|_| Error::new(ErrorKind::Invalid, format!("--at {seconds} is no time in seconds since 1970.")))?,
    };
    let text = login_text(host, at);
    if print {
        if session.json() {
            output::json(&serde_json::json!({ "text": text, "owner": owner, "at": at.as_second() }))?;
        } else {
            output::text(&format!("{text}\n"))?;
            output::note(format!(
                "Sign this text with {}, then: capsule xnode login --owner {owner}{} --at {} --signature-file FILE",
                owner.checksummed(),
                domain.as_ref().map(|domain| format!(" --domain {domain}")).unwrap_or_default(),
                at.as_second()
            ));
        }
        return Ok(());
    }
    let signature = match file {
        Some(path) => std::fs::read_to_string(&path)
            .map_err(|error| Error::new(ErrorKind::Config, format!("{} cannot be read: {error}.", path.display())))?,
        None => {
            output::note(format!("Sign this text, to the letter, with {}:\n\n  {text}\n", owner.checksummed()));
            ask::secret("Signature: ")?
        }
    };
    let login = Login::new(owner, host, at, signature.into())?;
    let path = session.checker()?.logins.keep(&login)?;
    let opens = match &domain {
        Some(domain) => format!("It opens {domain}"),
        None => "It opens every xNode of this owner that has no domain, for ever".to_owned(),
    };
    output::note(format!("Stored in {}, readable by you alone. {opens}: keep it like a private key.", path.display()));
    if session.json() {
        output::json(&serde_json::json!({ "owner": owner, "domain": host, "at": at.as_second() }))?;
    }
    Ok(())
}

/// What is wanted of a node.
struct Wish {
    domain: Domain,
    email: Option<Email>,
    timeout: Duration,
}

/// Between two looks at names and certificates.
const POLL: Duration = Duration::from_secs(10);

async fn set_domain(session: &Session, which: &str, wish: Wish) -> Outcome {
    let engine = session.engine().await?;
    let node = nodes(session, &engine, Some(which)).await?.remove(0);
    let checker = session.checker()?;
    let ip = address(&node.record)?;
    let domain = &wish.domain;
    let kind = if ip.is_ipv4() { "A" } else { "AAAA" };
    output::note(format!("The record to set, and no other for this name:\n\n  {domain}. {kind} {ip}\n"));
    await_record(session, &checker, domain, ip, wish.timeout).await?;
    output::note(format!("{domain} leads to {ip}."));

    if node.goal.domain.as_ref() != Some(domain) || checker.manager(&node).await?.is_some() {
        tell_node(session, &checker, &node, &wish).await?;
    }
    let certificate = await_certificate(session, &checker, domain, ip, wish.timeout).await?;
    let mut goal = node.goal.clone();
    goal.domain = Some(domain.clone());
    engine.describe(&node.record.id, goal.to_value()).await?;
    if session.json() {
        output::json(&serde_json::json!({
            "name": node.record.name, "id": node.record.id, "domain": domain, "address": ip, "certificate": certificate,
        }))?;
    } else {
        output::text(&format!("https://{domain} is `{}`.\n", node.record.name))?;
        output::note(format!("A login of its own goes with it: `capsule xnode login --domain {domain}`."));
    }
    Ok(())
}

/// Waits until the name leads to the node, and to nothing else.
async fn await_record(
    session: &Session,
    checker: &Checker,
    domain: &Domain,
    ip: IpAddr,
    timeout: Duration,
) -> Result<()> {
    let mut said = String::new();
    let until = deadline(session, timeout);
    loop {
        let found = checker.outside.net().resolve(domain.as_str()).await;
        let words = match found {
            Ok(found) if found.iter().all(|found| *found == ip) && !found.is_empty() => return Ok(()),
            Ok(found) if found.is_empty() => "it leads nowhere yet".to_owned(),
            Ok(found) => {
                let all: Vec<String> = found.iter().map(IpAddr::to_string).collect();
                format!("it leads to {}", all.join(", "))
            }
            Err(error) => format!("it cannot be looked up: {error}"),
        };
        if session.clock.now() >= until {
            return Err(Error::new(ErrorKind::Timeout, format!("{domain} does not lead to {ip} alone: {words}."))
                .with_hint(
                    "Set the record where you keep the domain, remove others for this name, and run this again.",
                ));
        }
        if words != said {
            output::note(format!("Waiting for {domain}: {words}."));
            said = words;
        }
        session.clock.sleep(POLL / session.pace()).await;
    }
}

/// Sets the domain through the node's manager, and waits until it is done.
async fn tell_node(session: &Session, checker: &Checker, node: &Node, wish: &Wish) -> Result<()> {
    let name = &node.record.name;
    let Some(manager) = checker.manager(node).await? else {
        let message =
            format!("`{name}` was not told of {} when it was made, and there is no login to tell it.", wish.domain);
        return Err(Error::new(ErrorKind::Unauthenticated, message)
            .with_hint(format!("Run `capsule verify {name}`, then `capsule xnode login`, then this again.")));
    };
    let request = manager.set_domain(&wish.domain, wish.email.as_ref()).await?;
    output::note(format!("`{name}` is being told to answer to {}.", wish.domain));
    let until = deadline(session, wish.timeout);
    loop {
        match manager.is_done(request).await {
            Ok(true) => return Ok(()),
            Err(error) if error.retry() == capsule_core::Retry::Never => return Err(error),
            // It restarts its web server while it changes.
            Ok(false) | Err(_) if session.clock.now() < until => session.clock.sleep(POLL / session.pace()).await,
            Ok(false) | Err(_) => {
                return Err(Error::new(ErrorKind::Timeout, format!("`{name}` is not done with the change in time."))
                    .with_hint("It may still come: run this again."));
            }
        }
    }
}

async fn await_certificate(
    session: &Session,
    checker: &Checker,
    domain: &Domain,
    ip: IpAddr,
    timeout: Duration,
) -> Result<capsule_xnode::Certificate> {
    let at = Endpoint::domain(ip, domain);
    let until = deadline(session, timeout);
    let mut said = String::new();
    loop {
        let words = match capsule_xnode::look(&checker.outside, &at, &Trust::Authorities).await {
            Ok(sight) => match sight.web {
                Web::Tls { certificate, .. } => return Ok(certificate),
                Web::NoTls(why) => why,
                _ => "port 443 does not answer".to_owned(),
            },
            Err(untrusted) => untrusted.0,
        };
        if session.clock.now() >= until {
            return Err(Error::new(ErrorKind::Timeout, format!("{domain} got no good certificate in time: {words}."))
                .with_hint(
                    "The authority must reach port 80 there. Its limits may be used up; try again in an hour.",
                ));
        }
        if words != said {
            output::note(format!("Waiting for the certificate: {words}."));
            said = words;
        }
        session.clock.sleep(POLL / session.pace()).await;
    }
}

fn deadline(session: &Session, timeout: Duration) -> Timestamp {
    let timeout = SignedDuration::try_from(timeout).unwrap_or(SignedDuration::MAX);
    session.clock.now().saturating_add(timeout).unwrap_or(Timestamp::MAX)
}
