//! Where to make a server: pure functions of what was asked and what is offered.

mod continent;

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::time::Duration;

use capsule_core::{
    Architecture, Catalog, Currency, Error, ErrorKind, Money, Offer, Place, Plan, PlanKind, Price, ProviderId, Rates,
    Region, Result, Stock, nearest,
};
use serde::{Deserialize, Serialize, Serializer};

pub use self::continent::Continent;

/// One place where the server can be made, frozen into the journal with the price that was quoted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// The cloud.
    pub provider: ProviderId,
    /// The vendor's region code.
    pub region: String,
    /// The vendor's plan id.
    pub plan: String,
    /// The vendor's image id.
    pub image: String,
    /// Shared or whole machine: decides how long it may take to come up.
    pub kind: PlanKind,
    /// Root disk, where it is chosen apart from the plan.
    pub disk_gib: Option<u64>,
    /// What it is to cost; `None` where that could not be learned.
    pub price: Option<Price>,
}

impl Placement {
    /// Where its servers are looked for.
    pub(crate) fn place(&self) -> Place {
        Place { region: self.region.clone(), kind: Some(self.kind) }
    }
}

/// What the server must be.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// At least so many virtual processors.
    pub min_vcpus: Option<u32>,
    /// At least so much memory.
    pub min_memory_mib: Option<u64>,
    /// At least so much disk.
    pub min_disk_gib: Option<u64>,
    /// At most so much an hour.
    pub max_hourly: Option<Money>,
    /// At most so much a month.
    pub max_monthly: Option<Money>,
    /// Only these clouds, preferred in this order; empty for all, in the catalogues' order.
    pub providers: Vec<ProviderId>,
    /// Only this region.
    pub region: Option<String>,
    /// Only regions on one of these continents; empty for all. What lies in no known country is left out then.
    pub continents: Vec<Continent>,
    /// Only this plan.
    pub plan: Option<String>,
    /// This image, by native id or by its common name such as `ubuntu-24.04`.
    pub image: String,
    /// This image instead, by an id that the catalogue need not know, such as one of the user's own. The vendor judges it.
    pub native_image: Option<String>,
    /// Only this instruction set.
    pub architecture: Option<Architecture>,
    /// Only shared or only whole machines.
    pub kind: Option<PlanKind>,
    /// Only with a graphics processor: any, or one whose model holds this word.
    pub gpu: Option<Option<String>>,
    /// How long it is to be there: what it costs in that time decides, not the hour. So hourly and monthly products,
    /// caps, set-up fees and least amounts compare fairly.
    pub duration: Option<Duration>,
    /// What prices of other currencies are reckoned with; those without a rate stand apart.
    pub rates: Rates,
}

/// Why offers were left out, and how many.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Excluded {
    /// Such as `with too few processors`.
    pub reason: String,
    /// How many offers.
    pub count: usize,
    /// By how much the one that came nearest misses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nearest: Option<Miss>,
}

impl fmt::Display for Excluded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.count, self.reason)?;
        match &self.nearest {
            Some(nearest) if self.count > 1 => write!(f, " (the nearest is {nearest})"),
            Some(nearest) => write!(f, " ({nearest})"),
            None => Ok(()),
        }
    }
}

/// What fits, best first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ranking {
    /// Cheapest first, of one currency; offers of unknown price come last.
    pub placements: Vec<Placement>,
    /// What fits in other currencies, which cannot be compared with the first ones: cheapest first, one list each.
    pub other_currencies: Vec<Vec<Placement>>,
    /// Why the rest does not fit, most frequent reason first.
    pub excluded: Vec<Excluded>,
}

/// Reasons to leave an offer out, in the order in which they are looked for.
const OUT_OF_STOCK: &str = "out of stock";
const CLOSED_REGION: &str = "in a region that takes no orders";
/// Counts regions instead of offers.
const CHEAPER_ELSEWHERE: &str = "cheaper regions that were not asked for";

/// The offers that satisfy `request`, cheapest first.
///
/// # Errors
/// [`ErrorKind::Invalid`] for an unknown provider, plan, region or image, with the nearest name as a hint, and when
/// nothing can fit; [`ErrorKind::NoCapacity`] when something would, were it in stock.
pub fn choose(request: &Request, catalogs: &[Catalog]) -> Result<Ranking> {
    let catalogs = in_order(request, catalogs)?;
    check_names(request, &catalogs)?;

    let mut excluded: BTreeMap<&'static str, (usize, Option<Miss>)> = BTreeMap::new();
    // Sorted by what stands beside each placement: price, then the provider's place, plan and region.
    let mut known: BTreeMap<Currency, Vec<(Money, usize, Placement)>> = BTreeMap::new();
    let mut unknown: Vec<(usize, Placement)> = Vec::new();
    let mut elsewhere: Vec<(Money, &ProviderId, &str)> = Vec::new();
    for (order, catalog) in catalogs.iter().enumerate() {
        let plans: HashMap<&str, &Plan> = catalog.plans.iter().map(|plan| (plan.id.as_str(), plan)).collect();
        let regions: HashMap<&str, &Region> =
            catalog.regions.iter().map(|region| (region.id.as_str(), region)).collect();
        for offer in &catalog.offers {
            let Some(plan) = plans.get(offer.plan.as_str()) else { continue };
            if request.plan.as_ref().is_some_and(|wanted| *wanted != plan.id) {
                continue;
            }
            let region = regions.get(offer.region.as_str()).copied();
            let placement = match fit(request, catalog, plan, region, offer) {
                Ok(placement) => placement,
                Err(misfit) => {
                    if is_there(request, region, offer) {
                        let (count, nearest) = excluded.entry(misfit.reason).or_default();
                        *count += 1;
                        *nearest = Miss::nearer(nearest.take(), misfit.by);
                    }
                    continue;
                }
            };
            let cost = placement.price.as_ref().and_then(|price| weight(request, price));
            match (is_there(request, region, offer), cost) {
                (true, Some(cost)) => known.entry(cost.currency()).or_default().push((cost, order, placement)),
                (true, None) => unknown.push((order, placement)),
                (false, Some(cost)) => elsewhere.push((cost, &catalog.provider, &offer.region)),
                (false, None) => {}
            }
        }
    }

    let said = |(reason, (count, nearest)): (&str, (usize, Option<Miss>))| Excluded {
        reason: reason.to_owned(),
        count,
        nearest,
    };
    let mut excluded: Vec<Excluded> = excluded.into_iter().map(said).collect();
    excluded.sort_by_key(|excluded| Reverse(excluded.count));
    if known.is_empty() && unknown.is_empty() {
        return Err(nothing_fits(&excluded));
    }
    let first = request.max_hourly.or(request.max_monthly).map(|limit| limit.currency());
    let first = first.or_else(|| {
        let earliest = |offers: &[(Money, usize, Placement)]| offers.iter().map(|(_, order, _)| *order).min();
        let most = known.iter().max_by_key(|(_, offers)| (offers.len(), Reverse(earliest(offers))));
        most.map(|(currency, _)| *currency)
    });
    let best = first.and_then(|currency| known.remove(&currency)).unwrap_or_default();
    if let Some(cheapest) = best.iter().map(|(cost, ..)| *cost).min_by_key(Money::amount) {
        let is_cheaper = |cost: &Money| cost.checked_cmp(cheapest).is_ok_and(Ordering::is_lt);
        let cheaper = elsewhere.iter().filter(|(cost, ..)| is_cheaper(cost));
        let regions: BTreeSet<_> = cheaper.map(|(_, provider, region)| (*provider, *region)).collect();
        if !regions.is_empty() {
            excluded.push(Excluded { reason: CHEAPER_ELSEWHERE.to_owned(), count: regions.len(), nearest: None });
        }
    }
    let mut placements = cheapest_first(best);
    unknown.sort_by(|a, b| (a.0, &a.1.plan, &a.1.region).cmp(&(b.0, &b.1.plan, &b.1.region)));
    placements.extend(unknown.into_iter().map(|(_, placement)| placement));
    Ok(Ranking { placements, other_currencies: known.into_values().map(cheapest_first).collect(), excluded })
}

/// Whether an offer is in a region that is wanted.
fn is_there(request: &Request, region: Option<&Region>, offer: &Offer) -> bool {
    let country = region.and_then(|region| region.country.as_deref());
    let on = |continents: &[Continent]| country.and_then(Continent::of).is_some_and(|at| continents.contains(&at));
    request.region.as_ref().is_none_or(|wanted| *wanted == offer.region)
        && (request.continents.is_empty() || on(&request.continents))
}

/// What offers are compared by: the cost of the time that is wanted, or of an hour, in the limit's currency if there is a
/// limit and a rate.
fn weight(request: &Request, price: &Price) -> Option<Money> {
    let cost = match request.duration {
        Some(duration) => price.for_duration(duration).ok()?,
        None => price.hourly().ok()?,
    };
    let limit = request.max_hourly.or(request.max_monthly).map_or(Currency::USD, |limit| limit.currency());
    Some(request.rates.convert(cost, limit).unwrap_or(cost))
}

/// What several servers are to be spread over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spread {
    /// Clouds.
    Provider,
    /// Regions, of whichever cloud.
    Region,
}

/// The servers that go to one place, and where else they may be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// Which of the servers, counted from 0.
    pub servers: Vec<usize>,
    /// The place's own offers first, then the others.
    pub placements: Vec<Placement>,
}

/// Shares out `count` servers so that they lie as far apart as the offers allow: each place takes one before any takes a
/// second, cheaper places first. A share lists at most `most` placements.
pub fn spread(placements: &[Placement], count: usize, over: Spread, most: usize) -> Vec<Share> {
    let place = |placement: &Placement| match over {
        Spread::Provider => (placement.provider.clone(), String::new()),
        Spread::Region => (placement.provider.clone(), placement.region.clone()),
    };
    let mut known: HashMap<(ProviderId, String), usize> = HashMap::new();
    let mut own: Vec<Vec<&Placement>> = Vec::new();
    let mut at = Vec::with_capacity(placements.len());
    for placement in placements {
        let index = *known.entry(place(placement)).or_insert(own.len());
        if index == own.len() {
            own.push(Vec::new());
        }
        own[index].push(placement);
        at.push(index);
    }
    own.truncate(count);
    let places = own.len();
    let share = |(index, own): (usize, Vec<&Placement>)| {
        let others = placements.iter().zip(&at).filter(|(_, at)| **at != index).map(|(placement, _)| placement);
        Share {
            servers: (index..count).step_by(places).collect(),
            placements: own.into_iter().chain(others).take(most).cloned().collect(),
        }
    };
    own.into_iter().enumerate().map(share).collect()
}

fn cheapest_first(mut offers: Vec<(Money, usize, Placement)>) -> Vec<Placement> {
    offers.sort_by(|(a, a_order, a_at), (b, b_order, b_at)| {
        let rest = (a_order, &a_at.plan, &a_at.region).cmp(&(b_order, &b_at.plan, &b_at.region));
        a.amount().cmp(&b.amount()).then(rest)
    });
    offers.into_iter().map(|(_, _, placement)| placement).collect()
}

/// The catalogues of the wanted providers, in the wanted order.
fn in_order<'a>(request: &Request, catalogs: &'a [Catalog]) -> Result<Vec<&'a Catalog>> {
    if request.providers.is_empty() {
        return Ok(catalogs.iter().collect());
    }
    let find = |wanted: &ProviderId| {
        catalogs.iter().find(|catalog| catalog.provider == *wanted).ok_or_else(|| {
            unknown("provider", wanted.as_str(), "", catalogs.iter().map(|catalog| catalog.provider.as_str()))
        })
    };
    request.providers.iter().map(find).collect()
}

fn check_names(request: &Request, catalogs: &[&Catalog]) -> Result<()> {
    let providers: Vec<&str> = catalogs.iter().map(|catalog| catalog.provider.as_str()).collect();
    let at = format!(" at {}", providers.join(", "));
    if let Some(plan) = &request.plan
        && !catalogs.iter().any(|catalog| catalog.plan(plan).is_some())
    {
        let known = catalogs.iter().flat_map(|catalog| &catalog.plans).map(|plan| plan.id.as_str());
        return Err(unknown("plan", plan, &at, known));
    }
    if let Some(region) = &request.region
        && !catalogs.iter().any(|catalog| catalog.region(region).is_some())
    {
        let known = catalogs.iter().flat_map(|catalog| &catalog.regions).map(|region| region.id.as_str());
        return Err(unknown("region", region, &at, known));
    }
    let open = |id: &str| catalogs.iter().any(|catalog| catalog.region(id).is_some_and(|region| region.available));
    if let Some(region) = request.region.as_ref().filter(|region| !open(region)) {
        let known = catalogs.iter().flat_map(|catalog| &catalog.regions).filter(|region| region.available);
        return Err(Error::new(ErrorKind::Invalid, format!("The region `{region}` takes no orders{at}."))
            .with_hint(nearest::hint(region, known.map(|region| region.id.as_str()))));
    }
    if let (Some(plan), Some(region)) = (&request.plan, &request.region)
        && !catalogs.iter().any(|catalog| catalog.offer(plan, region).is_some())
    {
        let offers = catalogs.iter().flat_map(|catalog| &catalog.offers);
        let regions: Vec<&str> =
            offers.filter(|offer| offer.plan == *plan).map(|offer| offer.region.as_str()).collect();
        let hint = match regions.is_empty() {
            true => "It is sold nowhere; `capsule plans` lists what is.".to_owned(),
            false => format!("It is sold in {}.", regions.join(", ")),
        };
        // A catalogue may have been narrowed: what it says nothing of may be sold there all the same.
        let is_covered = catalogs.iter().flat_map(|catalog| &catalog.offers).any(|offer| offer.region == *region);
        let (message, hint) = match is_covered {
            true => (format!("`{plan}` is not sold in `{region}`{at}."), hint),
            false => (
                format!("Nothing is known to be sold in `{region}`{at}."),
                format!("`{plan}`: {hint} Where the settings name `regions`, only those are asked for what they sell."),
            ),
        };
        return Err(Error::new(ErrorKind::Invalid, message).with_hint(hint));
    }
    let mut images = catalogs.iter().flat_map(|catalog| &catalog.images);
    if request.native_image.is_none()
        && !images.any(|image| image.id == request.image || image.os.as_deref() == Some(&request.image))
    {
        let images = catalogs.iter().flat_map(|catalog| &catalog.images);
        let mut known: Vec<&str> = images.map(|image| image.os.as_deref().unwrap_or(&image.id)).collect();
        known.sort_unstable();
        known.dedup();
        return Err(unknown("image", &request.image, &at, known));
    }
    Ok(())
}

fn unknown<'a>(what: &str, given: &str, at: &str, known: impl IntoIterator<Item = &'a str>) -> Error {
    Error::new(ErrorKind::Invalid, format!("There is no {what} `{given}`{at}.")).with_hint(nearest::hint(given, known))
}

/// Why an offer does not fit.
struct Misfit {
    reason: &'static str,
    /// By how much, where that can be said.
    by: Option<Miss>,
}

impl From<&'static str> for Misfit {
    fn from(reason: &'static str) -> Self {
        Misfit { reason, by: None }
    }
}

/// By how much an offer misses a wish; in JSON as for people, such as `1 GB short` and `0.01 USD above the limit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Miss {
    /// So many processors are missing.
    Vcpus(u32),
    /// So much memory is missing.
    MemoryMib(u64),
    /// So much disk is missing.
    DiskGib(u64),
    /// So much more than the limit it costs.
    Above(Money),
}

impl Serialize for Miss {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Miss {
    /// The smaller of two misses of one wish.
    pub fn nearer(a: Option<Miss>, b: Option<Miss>) -> Option<Miss> {
        let (Some(a), Some(b)) = (a, b) else { return a.or(b) };
        let is_smaller = match (a, b) {
            (Miss::Vcpus(a), Miss::Vcpus(b)) => b < a,
            (Miss::MemoryMib(a), Miss::MemoryMib(b)) | (Miss::DiskGib(a), Miss::DiskGib(b)) => b < a,
            (Miss::Above(a), Miss::Above(b)) => b.checked_cmp(a).is_ok_and(Ordering::is_lt),
            _ => false,
        };
        Some(if is_smaller { b } else { a })
    }
}

impl fmt::Display for Miss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Miss::Vcpus(count) => write!(f, "{count} short"),
            Miss::MemoryMib(mib) if mib % 1024 == 0 => write!(f, "{} GB short", mib / 1024),
            Miss::MemoryMib(mib) => write!(f, "{mib} MiB short"),
            Miss::DiskGib(gib) => write!(f, "{gib} GB short"),
            Miss::Above(money) => write!(f, "{money} above the limit"),
        }
    }
}

/// The placement that an offer makes, or why it does not fit.
fn fit(
    request: &Request,
    catalog: &Catalog,
    plan: &Plan,
    region: Option<&Region>,
    offer: &Offer,
) -> Result<Placement, Misfit> {
    let must = |holds: bool, reason: &'static str| if holds { Ok(()) } else { Err(Misfit::from(reason)) };
    let short = |reason: &'static str, by: Miss| Err(Misfit { reason, by: Some(by) });
    must(request.kind.is_none_or(|kind| kind == plan.kind), "of another kind of machine")?;
    must(request.architecture.is_none_or(|wanted| wanted == plan.architecture), "of another instruction set")?;
    if let Some(model) = &request.gpu {
        must(plan.gpu.is_some(), "without a graphics processor")?;
        must(plan.has_gpu(model.as_deref()), "with another graphics processor")?;
    }
    if let Some(least) = request.min_vcpus.filter(|least| plan.vcpus < *least) {
        return short("with too few processors", Miss::Vcpus(least - plan.vcpus));
    }
    if let Some(least) = request.min_memory_mib.filter(|least| plan.memory_mib < *least) {
        return short("with too little memory", Miss::MemoryMib(least - plan.memory_mib));
    }
    let short_of_disk = request.min_disk_gib.filter(|least| plan.disk_gib < *least);
    if let Some(least) = short_of_disk.filter(|_| !plan.disk_elastic) {
        return short("with too small a disk", Miss::DiskGib(least - plan.disk_gib));
    }
    // What is quoted with a disk of its own is ordered with that disk, and not with whatever the image has.
    let quoted = offer.price.as_ref().filter(|_| plan.disk_elastic).and_then(Price::root_disk_gib);
    let disk_gib = quoted.map(|gib| gib.max(request.min_disk_gib.unwrap_or(0))).or(short_of_disk);
    must(region.is_none_or(|region| region.available), CLOSED_REGION)?;
    let image = match &request.native_image {
        Some(id) => id.clone(),
        None => {
            let image = catalog.image_for(&request.image, plan, &offer.region);
            image.ok_or("where the image does not boot")?.id.clone()
        }
    };
    // A larger disk costs more where disks are charged apart.
    let price = offer.price.clone().map(|price| match disk_gib {
        Some(gib) => price.with_disk(gib),
        None => price,
    });
    within(request, request.max_hourly, || price.as_ref().and_then(|price| price.hourly().ok()))?;
    within(request, request.max_monthly, || price.as_ref().and_then(|price| price.monthly().ok()))?;
    must(offer.stock != Stock::Out, OUT_OF_STOCK)?;
    Ok(Placement {
        provider: catalog.provider.clone(),
        region: offer.region.clone(),
        plan: plan.id.clone(),
        image,
        kind: plan.kind,
        disk_gib,
        price,
    })
}

fn within(request: &Request, limit: Option<Money>, price: impl Fn() -> Option<Money>) -> Result<(), Misfit> {
    let Some(limit) = limit else { return Ok(()) };
    let price = price().ok_or("whose price is not known, and a limit is set")?;
    let price = request.rates.convert(price, limit.currency()).unwrap_or(price);
    match price.checked_cmp(limit) {
        Ok(order) if order.is_gt() => {
            Err(Misfit { reason: "too expensive", by: price.checked_sub(limit).ok().map(Miss::Above) })
        }
        Ok(_) => Ok(()),
        Err(_) => Err("priced in another currency than the limit".into()),
    }
}

fn nothing_fits(excluded: &[Excluded]) -> Error {
    let reasons: Vec<String> = excluded.iter().map(ToString::to_string).collect();
    let why = if reasons.is_empty() { "nothing is offered there".to_owned() } else { reasons.join(", ") };
    let would_fit = excluded.iter().any(|excluded| excluded.reason == OUT_OF_STOCK);
    let kind = if would_fit { ErrorKind::NoCapacity } else { ErrorKind::Invalid };
    Error::new(kind, format!("No offer fits: {why}.")).with_hint(
        "Ask for less, raise the limit, or allow more providers and regions; `capsule plans` shows them all.",
    )
}

#[cfg(test)]
mod tests;
