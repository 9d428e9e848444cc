//! What a server has to be, as `plans`, `cheapest` and `deploy` take it, and the older names for plans and regions.

use std::time::Duration;

use capsule_core::{
    Architecture, Catalog, Error, ErrorKind, Lifecycle, Money, Plan, PlanKind, ProviderId, Rates, nearest,
};
use capsule_engine::{Continent, Request};
use capsule_providers::templates::{self, Template};
use clap::Args;
use clap_complete::engine::ArgValueCandidates;

use crate::complete;
use crate::output;
use crate::session::Session;

/// What a server has to be.
#[derive(Debug, Default, Args)]
pub struct Wanted {
    /// Only this provider (may be repeated)
    #[arg(long, value_name = "NAME", add = ArgValueCandidates::new(complete::providers))]
    pub provider: Vec<String>,
    /// Only this plan
    #[arg(long, value_name = "PLAN")]
    pub plan: Option<String>,
    /// Only offers in this region
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,
    /// At least so many processors
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub min_cpu: u32,
    /// At least so much memory, in GB
    #[arg(long, value_name = "GB", default_value_t = 0)]
    pub min_memory: u64,
    /// At least so much disk, in GB
    #[arg(long, value_name = "GB", default_value_t = 0)]
    pub min_disk: u64,
    /// Only plans with graphics processors, or with one whose model holds this word: --gpu or --gpu=L4
    #[arg(long, value_name = "MODEL", num_args = 0..=1, require_equals = true)]
    pub gpu: Option<Option<String>>,
    /// Only this instruction set: x86_64 or arm64
    #[arg(long, value_name = "NAME")]
    pub architecture: Option<Architecture>,
    /// Only whole machines
    #[arg(long)]
    pub bare_metal: bool,
    /// At most this price an hour, such as 0.05 or "0.05 EUR" [currency: USD]
    #[arg(long, value_name = "PRICE", value_parser = super::deploy::money, allow_negative_numbers = true)]
    pub max_hourly: Option<Money>,
    /// At most this price a month
    #[arg(long, value_name = "PRICE", value_parser = super::deploy::money, allow_negative_numbers = true)]
    pub max_monthly: Option<Money>,
    /// Ask the providers even if a fresh answer is kept
    #[arg(long)]
    pub refresh: bool,
}

/// How offers are compared, and where they may be.
#[derive(Debug, Default, Args)]
pub struct Compared {
    /// Compare what so much time costs, such as 8h or 2160h, instead of an hour
    #[arg(long = "for", value_name = "TIME", value_parser = super::deploy::some_time)]
    pub time: Option<Duration>,
    /// Only regions on this continent, such as europe or north-america (may be repeated)
    #[arg(long, value_name = "NAME", value_parser = continent)]
    pub continent: Vec<Continent>,
    /// What one unit of another currency is worth, such as "EUR=1.08 USD": then their prices are compared (may be repeated)
    #[arg(long, value_name = "RATE")]
    pub rate: Vec<String>,
}

/// With the way out beside what is wrong.
fn continent(text: &str) -> Result<Continent, String> {
    text.parse().map_err(|error: Error| format!("{error} {}", error.hint().unwrap_or_default()))
}

impl Compared {
    /// The request with these wishes.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for what is no rate.
    pub(super) fn apply(&self, request: Request) -> Result<Request, Error> {
        let mut rates = Rates::default();
        self.rate.iter().try_for_each(|rate| rates.add(rate))?;
        Ok(Request { duration: self.time, continents: self.continent.clone(), rates, ..request })
    }
}

impl Wanted {
    /// Whether a plan is of the wanted kind and size.
    pub(super) fn fits(&self, plan: &Plan) -> bool {
        plan.vcpus >= self.min_cpu
            && plan.memory_mib >= self.min_memory * 1024
            && (plan.disk_elastic || plan.disk_gib >= self.min_disk)
            && self.gpu.as_ref().is_none_or(|model| plan.has_gpu(model.as_deref()))
            && self.architecture.is_none_or(|wanted| wanted == plan.architecture)
            && (!self.bare_metal || plan.kind == PlanKind::BareMetal)
    }

    /// The same as placement takes it.
    pub(super) fn request(&self, image: &str) -> Request {
        Request {
            min_vcpus: Some(self.min_cpu),
            min_memory_mib: Some(self.min_memory * 1024),
            min_disk_gib: Some(self.min_disk),
            max_hourly: self.max_hourly,
            max_monthly: self.max_monthly,
            image: image.to_owned(),
            kind: self.bare_metal.then_some(PlanKind::BareMetal),
            gpu: self.gpu.clone(),
            architecture: self.architecture,
            ..Request::default()
        }
    }
}

/// Which providers, plan and region are meant, and the catalogues to look in.
pub(super) struct Meant {
    /// Of the providers that are meant.
    pub catalogs: Vec<Catalog>,
    /// Of those that did not answer.
    pub missing: Vec<Error>,
    /// The vendor's plan.
    pub plan: Option<String>,
    /// The vendor's region.
    pub region: Option<String>,
}

/// Reads the catalogues and puts today's names in the place of older ones: `do-basic-2` is DigitalOcean's `s-2vcpu-2gb`.
///
/// # Errors
/// As [`Session::catalogs`]; [`ErrorKind::Invalid`] for an older name that leads nowhere today, with the nearest plan.
pub(super) async fn meant(
    session: &Session,
    providers: &[String],
    plan: Option<&str>,
    region: Option<&str>,
    refresh: bool,
) -> Result<Meant, Error> {
    let template = plan.and_then(templates::find);
    let mut sellers = providers.to_vec();
    let mut is_sold = true;
    if let Some(template) = template {
        let provider = template.provider.as_str();
        if !providers.is_empty() && !providers.iter().any(|id| id == provider) {
            let message =
                format!("`{}` is a plan of {provider}, which is not among the providers asked for.", template.id);
            return Err(Error::new(ErrorKind::Invalid, message).with_hint(format!("Use --provider {provider}.")));
        }
        is_sold = takes_orders(session, template)?;
        // What leads nowhere is answered with what comes nearest, wherever that is.
        sellers = match (is_sold, template.is_real) {
            (true, true) => vec![provider.to_owned()],
            (true, false) => Vec::new(),
            // Not by the one that was switched off: it would only say so once more.
            (false, _) => others(session, provider)?,
        };
        if !is_sold && sellers.is_empty() {
            template.living(&[])?;
        }
    }
    let (mut catalogs, missing) = session.catalogs(&sellers, refresh).await?;
    let plan = match template {
        Some(template) if !catalogs.is_empty() => {
            catalogs.retain(|catalog| is_sold || catalog.provider != template.provider);
            Some(living(session, template, &catalogs).await?)
        }
        _ => plan.map(str::to_owned),
    };
    let region = region.map(|word| today(word, &catalogs)).transpose()?;
    Ok(Meant { catalogs, missing, plan, region })
}

/// The providers that are set up, without this one.
fn others(session: &Session, provider: &str) -> Result<Vec<String>, Error> {
    let ids = session.chosen(&[])?.into_iter().map(|entry| entry.descriptor.id.to_string());
    Ok(ids.filter(|id| id != provider).collect())
}

/// Whether the provider of a template takes orders from this user.
fn takes_orders(session: &Session, template: &Template) -> Result<bool, Error> {
    let entry = capsule_providers::find(template.provider.as_str())?;
    let settings = session.settings(entry)?;
    let insists = settings.force_retired || settings.endpoint.is_some();
    Ok(insists || entry.descriptor.lifecycle == Lifecycle::Live)
}

async fn living(session: &Session, template: &Template, catalogs: &[Catalog]) -> Result<String, Error> {
    match template.living(catalogs) {
        Ok(plan) => {
            let change = template.change(plan).map(|change| format!(": {change}")).unwrap_or_default();
            output::note(format!("`{}` is {} {}{change}.", template.id, template.provider, plan.id));
            Ok(plan.id.clone())
        }
        // What comes nearest may be sold by others.
        Err(gone) if matches!(catalogs, [own] if own.provider == template.provider) => {
            match session.catalogs(&[], false).await {
                Ok((all, _)) => template.living(&all).map(|plan| plan.id.clone()),
                Err(_) => Err(gone),
            }
        }
        Err(gone) => Err(gone),
    }
}

/// A region's name today.
fn today(word: &str, catalogs: &[Catalog]) -> Result<String, Error> {
    if catalogs.is_empty() || catalogs.iter().any(|catalog| catalog.region(word).is_some()) {
        return Ok(word.to_owned());
    }
    if let Some((provider, region)) = templates::region(word, catalogs) {
        output::note(format!("`{word}` is {provider}'s region {region}."));
        return Ok(region.to_owned());
    }
    let whose = templates::region_of(word).filter(|id| catalogs.iter().any(|catalog| catalog.provider.as_str() == *id));
    let message = match whose {
        Some(provider) => format!("`{word}` was a name for a region of {provider}, which sells nothing there now."),
        None => {
            let asked: Vec<&str> = catalogs.iter().map(|catalog| catalog.provider.as_str()).collect();
            format!("There is no region `{word}` at {}.", asked.join(", "))
        }
    };
    let of_it = catalogs.iter().filter(|catalog| whose.is_none_or(|id| catalog.provider == ProviderId::new(id)));
    let known = of_it.flat_map(|catalog| catalog.regions.iter().map(|region| region.id.as_str()));
    Err(Error::new(ErrorKind::Invalid, message).with_hint(nearest::hint(word, known)))
}
