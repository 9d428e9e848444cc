use std::path::{Path, PathBuf};
use std::time::Duration;

use capsule_core::{Currency, Error, ErrorKind, Lifecycle, Money, ProviderId, SshKey, Tags};
use capsule_engine::{
    DeployRequest, Engine, Excluded, Observer, OnFailure, Placement, Request, Share, Spread, Wait, choose, spread,
};
use capsule_providers::templates;
use capsule_xnode::Stage;
use clap::{Args, ValueEnum};
use futures_util::future::join_all;

use super::wanted::{self, Compared, Meant, Wanted};
use super::xnode_args::{Block, XnodeArgs, stage_timeout};
use super::{Outcome, confirm, expire, finish, suited};
use crate::failure::Failure;
use crate::nodes::Goal;
use crate::output::{self, Progress, Table};
use crate::session::Session;

/// Create a server, once, and wait until it runs, or is a healthy xNode
///
/// Name a plan, or say what you need and the cheapest offer that fits is taken. What is asked is written down before
/// anything is ordered: after a crash, `capsule resume` goes on and never orders twice.
#[derive(Debug, Default, Args)]
pub struct Deploy {
    /// Its name, unique among your living servers
    pub name: String,
    /// So many servers, named NAME-1, NAME-2 and so on
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub count: Option<u32>,
    #[command(flatten)]
    pub wanted: Wanted,
    /// This system: a name from `capsule images`, under OS or IMAGE
    #[arg(long, value_name = "IMAGE", default_value = IMAGE)]
    pub image: String,
    /// An image by the provider's own id, such as one of your own; not checked beforehand
    #[arg(long, value_name = "ID", conflicts_with = "image", requires = "provider")]
    pub image_id: Option<String>,
    #[command(flatten)]
    pub compared: Compared,
    /// Of several servers, put each at another provider or in another region as far as offers allow
    #[arg(long, value_enum, value_name = "OVER", requires = "count")]
    pub spread: Option<Over>,
    /// Note that it is to live only so long, such as 8h, as the tag `expires`; `capsule expire` deletes what is due
    #[arg(long, value_name = "TIME", value_parser = some_time)]
    pub ttl: Option<Duration>,
    /// A public key file, or a key that the provider has, by its id or name (may be repeated)
    #[arg(long, value_name = "FILE|KEY")]
    pub ssh_key: Vec<String>,
    /// A tag (may be repeated)
    #[arg(long, value_name = "KEY=VALUE")]
    pub tag: Vec<String>,
    #[command(flatten)]
    pub xnode: XnodeArgs,
    /// What becomes of an xNode that obeys anyone, because the owner did not arrive [default: delete]
    #[arg(long, value_enum, help_heading = "xNode")]
    pub on_unclaimed: Option<FailedServer>,
    /// How long a stage of an xNode may take, such as kexec=20m (may be repeated)
    #[arg(long, value_name = "STAGE=TIME", value_parser = stage_timeout, help_heading = "xNode")]
    pub stage_timeout: Vec<(Stage, Duration)>,
    /// Text for cloud-init, from a file; with --owner it is merged with the xNode's
    #[arg(long, value_name = "FILE")]
    pub user_data: Option<PathBuf>,
    /// A plain server: no XnodeOS, no user-data
    #[arg(long, conflicts_with_all = ["owner", "user_data"])]
    pub bare: bool,
    /// What to wait for [default: ready for an xNode, else running]
    #[arg(long, value_enum)]
    pub wait: Option<WaitFor>,
    /// How long to wait, such as 10m; what is not done then goes on and can be resumed
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub timeout: Option<Duration>,
    /// What becomes of a server that does not come up [default: delete], or comes up and is no xNode [default: keep]
    #[arg(long, value_enum)]
    pub on_failure: Option<FailedServer>,
    /// Show what would be ordered, and why; order nothing
    #[arg(long)]
    pub dry_run: bool,
    /// The same key again means the same deploy, not another one
    #[arg(long, value_name = "KEY")]
    pub idempotency_key: Option<String>,
    /// Order an xNode even where it is known not to fit, or from a retired provider
    #[arg(long)]
    pub force: bool,
    /// Ask once the choice and its price are shown, as the original's commands did.
    #[arg(skip)]
    pub ask: bool,
}

/// What to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum WaitFor {
    /// Until the xNode is claimed by its owner and healthy.
    Ready,
    /// Until the server runs and has an address.
    Running,
    /// Until the provider has accepted the order.
    None,
}

/// What several servers are spread over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Over {
    /// Providers.
    Provider,
    /// Regions of any provider.
    Region,
}

/// What becomes of a server that does not come up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FailedServer {
    /// It is deleted and stops costing.
    Delete,
    /// It stays for a look and goes on costing.
    Keep,
}

impl From<FailedServer> for OnFailure {
    fn from(word: FailedServer) -> Self {
        match word {
            FailedServer::Delete => OnFailure::Delete,
            FailedServer::Keep => OnFailure::Keep,
        }
    }
}

/// The system that every provider has.
const IMAGE: &str = "ubuntu-24.04";

impl Deploy {
    /// A deploy of one server with everything else as it is when nothing more is typed.
    pub fn named(name: impl Into<String>) -> Self {
        Deploy { name: name.into(), image: IMAGE.to_owned(), ..Deploy::default() }
    }
}

/// How many offers an order may fall back on. The journal keeps every one for each operation; nobody tries more than a few.
const MOST_CANDIDATES: usize = 8;

/// What is to be ordered, and what was left out.
struct Planned {
    parts: Vec<DeployRequest>,
    excluded: Vec<capsule_engine::Excluded>,
    /// The user-data without a secret.
    shown: Option<String>,
    goal: Option<Goal>,
    wait: Wait,
}

async fn plan(session: &Session, args: &Deploy) -> Result<Planned, Failure> {
    let (sent, shown, goal) = birth(session, args)?;
    let is_xnode = goal.is_some();
    let wait = match args.wait {
        Some(WaitFor::Ready) if !is_xnode => {
            return Err(Error::new(ErrorKind::Invalid, "Only an xNode can be waited for until it is ready.")
                .with_hint("Name its owner with --owner, or use --wait running.")
                .into());
        }
        Some(WaitFor::Ready) => Wait::Ready,
        None if is_xnode => Wait::Ready,
        Some(WaitFor::Running) | None => Wait::Running,
        Some(WaitFor::None) => Wait::None,
    };
    let ssh_keys = args.ssh_key.iter().map(|key| ssh_key(key)).collect::<Result<Vec<_>, _>>()?;
    let mut tags: Tags = args.tag.iter().map(|tag| Tags::parse_pair(tag)).collect::<Result<_, _>>()?;
    if let Some(ttl) = args.ttl {
        tags.insert(expire::TAG, &expire::moment(session.clock.now(), ttl)?);
    }
    let names: Vec<String> = match args.count {
        None => vec![args.name.clone()],
        Some(count) => (1..=count).map(|number| format!("{}-{number}", args.name)).collect(),
    };
    if args.force {
        session.force_retired();
    }
    let Wanted { provider, plan, region, refresh, .. } = &args.wanted;
    let asked_of = match plan.as_deref().and_then(templates::find) {
        Some(_) => provider.clone(),
        None => sellers(session, provider)?,
    };
    let Meant { catalogs, missing, plan, region } =
        wanted::meant(session, &asked_of, plan.as_deref(), region.as_deref(), *refresh).await?;
    if catalogs.is_empty() {
        return Err(Failure::all(missing));
    }
    for error in &missing {
        output::note(format!("warning: {error} It is left out of the choice."));
    }
    let wanted = args.compared.apply(request(args, is_xnode))?;
    let mut ranking = choose(&Request { plan, region, ..wanted }, &catalogs)?;
    if is_xnode {
        suited::keep(&mut ranking, &catalogs, args.force);
    }
    if ranking.placements.is_empty() {
        return Err(nothing_fits(&ranking.excluded).into());
    }
    let mut request = DeployRequest {
        names,
        placements: std::mem::take(&mut ranking.placements),
        ssh_keys,
        user_data: sent,
        tags,
        idempotency_key: args.idempotency_key.clone(),
        asked: Some(asked(args)),
        wait,
        timeout: args.timeout,
        on_failure: args.on_failure.map_or(OnFailure::Delete, OnFailure::from),
        goal: goal.as_ref().map(Goal::to_value),
    };
    leave_out_unknown_keys(session, &mut request)?;
    keep_acceptable(session, &mut request).await?;
    explain(session, &request);
    let parts = spread_out(request, args.spread);
    Ok(Planned { parts, excluded: ranking.excluded, shown, goal, wait })
}

/// A simulated account has no SSH keys but those that were given to it, and an order that names one of a real account is tried
/// there all the same.
fn leave_out_unknown_keys(session: &Session, request: &mut DeployRequest) -> Result<(), Error> {
    let providers: Vec<ProviderId> = request.placements.iter().map(|placement| placement.provider.clone()).collect();
    let mut keys = Vec::with_capacity(request.ssh_keys.len());
    for key in std::mem::take(&mut request.ssh_keys) {
        match &key {
            SshKey::Existing(word) if !session.may_have_ssh_key(word, &providers)? => output::note(format!(
                "warning: No simulated account has an SSH key `{word}`, so that it is left out here; a real one has to have it."
            )),
            _ => keys.push(key),
        }
    }
    request.ssh_keys = keys;
    Ok(())
}

/// Orders all parts at once: what became of each server, and why parts were refused before anything was sent.
async fn order(
    engine: &Engine,
    parts: Vec<DeployRequest>,
    observer: &dyn Observer,
) -> (Vec<capsule_engine::Outcome>, Vec<Error>) {
    let (mut outcomes, mut refused) = (Vec::new(), Vec::new());
    for answer in join_all(parts.into_iter().map(|part| engine.deploy(part, observer))).await {
        match answer {
            Ok(part) => outcomes.extend(part),
            Err(error) => refused.push(error),
        }
    }
    (outcomes, refused)
}

/// Plans and orders, and prints nothing: for whoever is no command line. `dry_run` is not looked at.
///
/// # Errors
/// What keeps everything from being ordered.
pub(crate) async fn carry_out(
    session: &Session,
    engine: &Engine,
    args: &Deploy,
    observer: &dyn Observer,
) -> Result<Vec<capsule_engine::Outcome>, Failure> {
    let planned = plan(session, args).await?;
    let (outcomes, refused) = order(engine, planned.parts, observer).await;
    if outcomes.is_empty() { Err(Failure::several(refused)) } else { Ok(outcomes) }
}

pub(super) async fn run(session: &Session, args: Deploy) -> Outcome {
    let Planned { parts, excluded, shown, goal, wait } = plan(session, &args).await?;
    if args.dry_run {
        let refused = session.engine().await?.admits(&parts).await.err();
        if session.json() {
            output::json(
                &serde_json::json!({ "dry_run": true, "names": all_names(&parts), "placements": parts[0].placements, "parts": parts.iter().map(|part| serde_json::json!({ "names": part.names, "placements": part.placements })).collect::<Vec<_>>(), "excluded": excluded, "refused": refused, "user_data": shown }),
            )?;
        } else {
            for part in &parts {
                if parts.len() > 1 {
                    output::note(part.names.join(", "));
                }
                table(&part.placements, args.compared.time)?;
            }
            output::note("Dry run: nothing was ordered.");
        }
        return session.finish(refused.into_iter().collect());
    }
    if args.ask {
        confirm::order().await?;
    }
    let engine = session.engine().await?;
    let progress = Progress::new(session.clock.clone());
    let (outcomes, refused) = finish::resumable(&engine, order(&engine, parts, &progress)).await?;
    progress.finish();
    if outcomes.is_empty() {
        return Err(Failure::several(refused));
    }
    // What cannot be reckoned now is no reason to hide what was ordered.
    match engine.budgets().await {
        Ok(standings) => super::budget::warn(&standings),
        Err(error) => output::note(format!("warning: how the budgets stand is not known: {error}")),
    }
    finish::report(session, &outcomes)?;
    if let Some(goal) = goal {
        advise(&goal, wait, &outcomes);
    }
    session.finish(refused)
}

/// One request for each place that servers are spread over; the request as it is where they are not.
fn spread_out(mut request: DeployRequest, over: Option<Over>) -> Vec<DeployRequest> {
    let over = match over {
        None => {
            request.placements.truncate(MOST_CANDIDATES);
            return vec![request];
        }
        Some(Over::Provider) => Spread::Provider,
        Some(Over::Region) => Spread::Region,
    };
    let shares = spread(&request.placements, request.names.len(), over, MOST_CANDIDATES);
    let part = |(number, share): (usize, Share)| DeployRequest {
        names: share.servers.iter().map(|server| request.names[*server].clone()).collect(),
        placements: share.placements,
        // Each part is a request of its own, and found again under a key of its own.
        idempotency_key: request.idempotency_key.as_ref().map(|key| format!("{key}/{number}")),
        ..request.clone()
    };
    shares.into_iter().enumerate().map(part).collect()
}

fn all_names(parts: &[DeployRequest]) -> Vec<&String> {
    parts.iter().flat_map(|part| &part.names).collect()
}

/// What makes two deploys under one key the same: everything that was typed, in the order of the fields.
fn asked(args: &Deploy) -> String {
    let wanted = &args.wanted;
    let least = |given: u64| (given > 0).then_some(given);
    let mut asked = serde_json::json!({
        "for": args.compared.time, "continent": args.compared.continent.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "rate": args.compared.rate, "spread": args.spread.map(|over| format!("{over:?}")), "ttl": args.ttl,
        "name": args.name, "count": args.count, "provider": wanted.provider, "plan": wanted.plan, "region": wanted.region,
        "image": args.image, "image_id": args.image_id, "min_cpu": least(wanted.min_cpu.into()),
        "min_memory": least(wanted.min_memory), "min_disk": least(wanted.min_disk),
        "max_hourly": wanted.max_hourly, "max_monthly": wanted.max_monthly, "ssh_key": args.ssh_key, "tag": args.tag,
        "owner": args.xnode.owner, "domain": args.xnode.domain, "acme_email": args.xnode.acme_email, "user_data": args.user_data, "bare": args.bare,
    });
    // Only what is given: what was asked under a key before stays the same.
    for (name, value) in [
        ("initial_config", args.xnode.initial_config.as_ref().map(|path| serde_json::json!(path))),
        ("encrypted", args.xnode.encrypted.then_some(true.into())),
        ("xnodeos_version", args.xnode.xnodeos_version.clone().map(Into::into)),
        ("installer_url", args.xnode.installer_url.clone().map(Into::into)),
        ("gpu", wanted.gpu.as_ref().map(|model| serde_json::json!(model))),
        ("bare_metal", wanted.bare_metal.then_some(true.into())),
        ("architecture", wanted.architecture.map(|architecture| serde_json::json!(architecture))),
    ] {
        if let Some(value) = value {
            asked[name] = value;
        }
    }
    asked.to_string()
}

fn request(args: &Deploy, is_xnode: bool) -> Request {
    let providers = args.wanted.provider.iter().map(|name| ProviderId::from(name.clone())).collect();
    let request = Request { providers, native_image: args.image_id.clone(), ..args.wanted.request(&args.image) };
    if is_xnode { suited::wish(request) } else { request }
}

/// What the servers are told at birth, the same for people to read, and what they are to become.
type Birth = (Option<String>, Option<String>, Option<Goal>);

fn birth(session: &Session, args: &Deploy) -> Result<Birth, Error> {
    let block = Block::read(session)?;
    let told = match args.bare {
        true => None,
        false => args.xnode.user_data(session, args.user_data.as_deref())?,
    };
    let Some(told) = told else {
        let own = args.user_data.as_deref().map(read).transpose()?;
        return Ok((own.clone(), own, None));
    };
    if told.config.domain.is_some() && args.count.is_some_and(|count| count > 1) {
        return Err(Error::new(ErrorKind::Invalid, "One domain leads to one server, and several are asked for.")
            .with_hint("Deploy them without --domain, then give each its own with `capsule xnode domain`."));
    }
    let on_unclaimed = match (args.on_unclaimed, block.text("on_unclaimed")?) {
        (Some(flag), _) => flag,
        (None, None) => FailedServer::Delete,
        (None, Some(text)) => FailedServer::from_str(&text, false).map_err(|_| {
            Error::new(ErrorKind::Config, format!("`xnode.on_unclaimed` is neither delete nor keep: `{text}`."))
        })?,
    };
    let goal = Goal {
        owner: Some(told.config.owner),
        domain: told.config.domain.clone(),
        on_stuck: args.on_failure.map_or(OnFailure::Keep, OnFailure::from),
        on_unclaimed: on_unclaimed.into(),
        limits: block.limits(&args.stage_timeout)?,
    };
    Ok((Some(told.sent), Some(told.shown), Some(goal)))
}

/// What is left to do for new xNodes.
fn advise(goal: &Goal, wait: Wait, outcomes: &[capsule_engine::Outcome]) {
    if wait != Wait::Ready {
        output::note(
            "XnodeOS installs itself now, which takes about 10 minutes, on bare metal about 30. `capsule verify` tells whether \
             it did, and whether it is claimed.",
        );
    }
    let Some(domain) = &goal.domain else { return };
    for outcome in outcomes {
        if let Some(ip) = outcome.record.as_ref().and_then(|record| record.addresses.primary()) {
            let kind = if ip.is_ipv4() { "A" } else { "AAAA" };
            output::note(format!(
                "Set the record `{domain}. {kind} {ip}` where you keep the domain; `capsule xnode domain {} {domain}` waits for it \
                 and for its certificate.",
                outcome.name
            ));
        }
    }
}

fn read(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path)
        .map_err(|error| Error::new(ErrorKind::Config, format!("{} cannot be read: {error}.", path.display())))
}

/// Whether it is one line of an OpenSSH public key: a kind, a key and maybe a comment.
fn is_public_key(text: &str) -> bool {
    let kinds = ["ssh-", "ecdsa-", "sk-"];
    text.trim().lines().count() == 1 && text.contains(' ') && kinds.iter().any(|kind| text.trim().starts_with(kind))
}

fn ssh_key(text: &str) -> Result<SshKey, Error> {
    let path = Path::new(text);
    if is_public_key(text) {
        return Ok(SshKey::Public(text.trim().to_owned()));
    }
    if !path.is_file() {
        if text.contains('/') || text.ends_with(".pub") {
            return Err(Error::new(ErrorKind::Config, format!("There is no key file {text}."))
                .with_hint("Name a public key file, or a key that the provider has."));
        }
        return Ok(SshKey::Existing(text.to_owned()));
    }
    let line = read(path)?.trim().to_owned();
    if line.contains("PRIVATE KEY") {
        return Err(Error::new(ErrorKind::Config, format!("{text} is a private key; it must not leave this machine."))
            .with_hint(format!("Use {text}.pub.")));
    }
    if !is_public_key(&line) {
        return Err(Error::new(ErrorKind::Config, format!("{text} is not an OpenSSH public key."))
            .with_hint("It is one line such as `ssh-ed25519 AAAA... you@host`."));
    }
    Ok(SshKey::Public(line))
}

/// The providers to choose from: those named, or all that are set up and still sell.
fn sellers(session: &Session, named: &[String]) -> Result<Vec<String>, Error> {
    let mut sellers = Vec::new();
    for entry in session.chosen(named)? {
        let descriptor = entry.descriptor;
        let settings = session.settings(entry)?;
        let insists = settings.force_retired || settings.endpoint.is_some();
        match &descriptor.lifecycle {
            Lifecycle::Retired { on, instead } if !insists && !named.is_empty() => {
                let message = format!("{} was switched off on {on} and takes no orders.", descriptor.name);
                return Err(Error::new(ErrorKind::Unsupported, message)
                    .with_provider(&descriptor.id)
                    .with_hint(format!("Use {instead}; --force sends the order all the same.")));
            }
            Lifecycle::Retired { .. } if !insists => {}
            _ => sellers.push(descriptor.id.to_string()),
        }
    }
    if sellers.is_empty() {
        return Err(Error::new(ErrorKind::Unsupported, "No provider that still sells is set up.")
            .with_hint("`capsule providers` lists them."));
    }
    Ok(sellers)
}

fn nothing_fits(excluded: &[Excluded]) -> Error {
    let reasons: Vec<String> = excluded.iter().map(ToString::to_string).collect();
    let error = Error::new(ErrorKind::Invalid, "No offer fits.");
    if reasons.is_empty() { error } else { error.with_hint(format!("Left out: {}.", reasons.join("; "))) }
}

/// Leaves out the offers of providers that would not take the order as it stands; when none is left, says why.
async fn keep_acceptable(session: &Session, request: &mut DeployRequest) -> Result<(), Error> {
    // The names differ in their number alone: what takes the longest takes all.
    let longest = request.names.last().cloned();
    let probe = DeployRequest { names: longest.into_iter().collect(), ..request.clone() };
    let (placements, refusals) = capsule_engine::acceptable(&probe, &session.providers()).await?;
    if placements.is_empty()
        && let Some(refusal) = refusals.first()
    {
        return Err(refusal.clone());
    }
    for refusal in &refusals {
        let whose = refusal.provider().map_or("an offer", ProviderId::as_str);
        output::note(format!("note: {whose} is left out. {refusal}"));
    }
    request.placements = placements;
    Ok(())
}

fn explain(session: &Session, request: &DeployRequest) {
    let Some(first) = request.placements.first().filter(|_| !session.json()) else { return };
    let count = request.names.len();
    let others = request.placements.len() - 1;
    let why = match others {
        0 => "the only offer that fits".to_owned(),
        _ if first.price.is_none() => format!("the first of {} offers that fit; its price is unknown", others + 1),
        _ => format!("the cheapest of {} offers that fit", others + 1),
    };
    let times = if count > 1 { format!("{count} x ") } else { String::new() };
    output::note(format!(
        "{times}{} {} in {}: {} an hour, {} a month; {why}.",
        first.provider,
        first.plan,
        first.region,
        output::hourly(first.price.as_ref()),
        output::monthly(first.price.as_ref())
    ));
}

/// The best placements; with what the time costs that they are compared by, where one is.
pub(super) fn table(placements: &[Placement], time: Option<Duration>) -> Result<(), Error> {
    /// More candidates than this nobody reads.
    const SHOWN: usize = 15;
    let mut header = vec!["PROVIDER", "PLAN", "REGION", "IMAGE", ">PER HOUR", ">PER MONTH"];
    header.extend(time.map(|_| ">FOR THE TIME"));
    let shown = &placements[..placements.len().min(SHOWN)];
    let apart = shown.iter().any(|placement| !output::beside(placement.price.as_ref()).is_empty());
    header.extend(apart.then_some("OF WHICH A MONTH"));
    let mut table = Table::new(&header);
    for placement in shown {
        let price = placement.price.as_ref();
        let mut row = vec![
            placement.provider.to_string(),
            placement.plan.clone(),
            placement.region.clone(),
            placement.image.clone(),
            output::hourly(price),
            output::monthly(price),
        ];
        row.extend(time.map(|time| output::for_time(price, time)));
        row.extend(apart.then(|| output::beside(price)));
        table.row(row);
    }
    table.print()
}

pub(super) fn money(text: &str) -> Result<Money, String> {
    let (amount, currency) = text.trim().split_once(' ').unwrap_or((text.trim(), "USD"));
    let currency: Currency = currency.trim().parse().map_err(|error: capsule_core::MoneyError| error.to_string())?;
    let money = Money::parse(amount, currency).map_err(|error| error.to_string())?;
    if money.amount().is_sign_negative() { Err("a price cannot be negative".to_owned()) } else { Ok(money) }
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let length: jiff::SignedDuration =
        text.parse().map_err(|_| format!("`{text}` is not a length of time such as 90s, 10m or 1h30m"))?;
    Duration::try_from(length).map_err(|_| "a length of time cannot be negative".to_owned())
}

/// A length of time that has a length.
pub(super) fn some_time(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("it is no time at all; give one such as 8h".to_owned()),
        length => Ok(length),
    }
}
