//! Calls that give values and print nothing: what programs use where people use commands.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use capsule_core::http::Transport;
use capsule_core::{
    Account, Clock, Error, ErrorKind, Instance, InstanceId, Power, Price, Provider, Result, Scope, Stock,
};
use capsule_engine::{Engine, Finish, Observer, OperationId, Outcome, Wait};
use capsule_providers::{Entry, templates};
use secrecy::SecretString;
use tokio::sync::OnceCell;

use crate::cli::Global;
use crate::commands::deploy::{self, Deploy};
use crate::session::Session;

/// One set of settings and the journal beside it, for as long as a program lives. Shared by its threads.
pub struct Facade {
    session: Session,
    /// Opened at the first need of the journal.
    engine: OnceCell<Engine>,
    /// Where servers were seen, by provider and native id: what spares a list to find one again.
    seen: Mutex<HashMap<(String, String), InstanceId>>,
}

/// What a template costs today.
#[derive(Debug, Clone)]
pub struct Quote {
    /// The vendor's plan.
    pub plan: String,
    /// The vendor's region.
    pub region: String,
    /// The price.
    pub price: Price,
}

impl Facade {
    /// Reads the settings; sends nothing and makes no file. `keys` come before what is set elsewhere, by provider.
    ///
    /// # Errors
    /// As [`Session::open`].
    pub fn open(global: Global, keys: &[(String, SecretString)]) -> Result<Self> {
        let session = Session::open_with(global, keys)?;
        Ok(Facade { session, engine: OnceCell::new(), seen: Mutex::default() })
    }

    /// The way out: to the clouds, or to the simulated ones.
    pub fn transport(&self) -> Arc<dyn Transport> {
        self.session.transport()
    }

    /// The time.
    pub fn clock(&self) -> Arc<dyn Clock> {
        self.session.clock.clone()
    }

    /// Whether there is enough to try a call of this provider with.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for a malformed entry, [`ErrorKind::Invalid`] for an unknown provider.
    pub fn is_configured(&self, provider: &str) -> Result<bool> {
        let entry = capsule_providers::find(provider)?;
        Ok(entry.is_configured(&self.session.settings(entry)?))
    }

    /// Whose key it is: a real call.
    ///
    /// # Errors
    /// [`ErrorKind::Unauthenticated`] for a wrong key; as [`Provider::verify`].
    pub async fn verify(&self, provider: &str) -> Result<Account> {
        self.driver(provider).await?.verify().await
    }

    /// Every server that the key can see, without the vendor's bodies.
    ///
    /// # Errors
    /// As [`Provider::list`]: never an empty list instead.
    pub async fn list(&self, provider: &str) -> Result<Vec<Instance>> {
        let entry = capsule_providers::find(provider)?;
        let found = self.session.connect_for_list(entry, &[], true).await?.list(&Scope::All).await?;
        self.remember(&found);
        Ok(found)
    }

    /// One server as it is now, by its native id or its whole id.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] for one that is not there.
    pub async fn get(&self, provider: &str, id: &str) -> Result<Instance> {
        let (id, _) = self.find(provider, id).await?;
        self.driver(provider).await?.get(&id).await?.ok_or_else(|| missing(provider, &id.native))
    }

    /// Makes one server, exactly once, as the command `deploy` does.
    ///
    /// # Errors
    /// What kept it from being made, or that its outcome is not known yet: then the hint says how to go on.
    pub async fn deploy(&self, mut args: Deploy, observer: &dyn Observer) -> Result<Outcome> {
        let engine = self.engine().await?;
        if let Some(word) = args.image_id.take() {
            // What the catalogue knows by that name is checked beforehand, anything else by the vendor.
            let (catalogs, _) = self.session.catalogs(&args.wanted.provider, args.wanted.refresh).await?;
            let mut images = catalogs.iter().flat_map(|catalog| &catalog.images);
            match images.any(|image| image.id == word || image.os.as_deref() == Some(&word)) {
                true => args.image = word,
                false => args.image_id = Some(word),
            }
        }
        let outcomes = deploy::carry_out(&self.session, engine, &args, observer)
            .await
            .map_err(|failure| failure.errors.into_iter().next().unwrap_or_else(nothing))?;
        let outcome = outcomes.into_iter().next().ok_or_else(nothing)?;
        self.remember(outcome.instance.as_slice());
        over(outcome)
    }

    /// Changes the power of a server, and waits as `wait` says.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a server that this installation did not make, unless `unmanaged`.
    pub async fn power(&self, provider: &str, id: &str, to: Power, wait: Wait, unmanaged: bool) -> Result<Outcome> {
        let id = self.find_ours(provider, id, unmanaged).await?;
        over(self.engine().await?.power(&id, to, wait, &capsule_engine::Silent).await?)
    }

    /// Ends a server and waits until its provider says that it is gone.
    ///
    /// # Errors
    /// As [`power`](Facade::power).
    pub async fn delete(&self, provider: &str, id: &str, unmanaged: bool) -> Result<Outcome> {
        let id = self.find_ours(provider, id, unmanaged).await?;
        over(self.engine().await?.destroy(&id, &capsule_engine::Silent).await?)
    }

    /// Gives back what calls began that were dropped before they were done, so that whoever goes on with it need not wait
    /// to see whether this process still works on it; says which operations those are.
    ///
    /// # Errors
    /// As [`Engine::let_go_of_dropped`]; then their leases run out once nothing else is at work here.
    pub async fn let_go_of_dropped(&self) -> Result<Vec<OperationId>> {
        match self.engine.get() {
            Some(engine) => engine.let_go_of_dropped().await,
            None => Ok(Vec::new()),
        }
    }

    /// What a template of this name costs today in the region that is meant, or else where it is cheapest.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] where it leads to no plan of today, with the nearest.
    pub async fn quote(&self, template: &str, region: Option<&str>) -> Result<Quote> {
        let template = templates::find(template)
            .ok_or_else(|| Error::new(ErrorKind::Invalid, format!("There is no template `{template}`.")))?;
        let (catalogs, errors) = self.session.catalogs(&[template.provider.to_string()], false).await?;
        if let Some(error) = errors.into_iter().next() {
            return Err(error);
        }
        let plan = template.living(&catalogs)?;
        let region = region.map(|word| templates::region(word, &catalogs).map_or(word, |(_, now)| now));
        let offers = catalogs.iter().flat_map(|catalog| &catalog.offers);
        let here = offers.filter(|offer| offer.plan == plan.id && region.is_none_or(|region| offer.region == region));
        let priced = here.filter(|offer| offer.stock != Stock::Out).filter_map(|offer| {
            let price = offer.price.clone()?;
            let hourly = price.hourly().ok()?.amount();
            Some((hourly, Quote { plan: offer.plan.clone(), region: offer.region.clone(), price }))
        });
        priced.min_by_key(|(hourly, _)| *hourly).map(|(_, quote)| quote).ok_or_else(|| {
            let place = region.map(|region| format!(" in {region}")).unwrap_or_default();
            let message = format!("`{}` ({} {}) has no price{place} now.", template.id, template.provider, plan.id);
            Error::new(ErrorKind::Invalid, message).with_hint("`capsule plans` lists what is sold where.")
        })
    }

    async fn engine(&self) -> Result<&Engine> {
        self.engine.get_or_try_init(|| self.session.engine()).await
    }

    async fn driver(&self, provider: &str) -> Result<Arc<dyn Provider>> {
        self.session.connect(capsule_providers::find(provider)?).await
    }

    fn remember(&self, found: &[Instance]) {
        let mut seen = self.seen.lock().expect("no panic happens under this lock");
        seen.extend(found.iter().map(|instance| {
            let id = &instance.id;
            ((id.provider.to_string(), id.native.clone()), id.clone())
        }));
    }

    /// Where a server is, by nothing but its id, and whether this installation made it. No name or prefix will do: what
    /// programs say must not change its meaning with what else is there.
    async fn find(&self, provider: &str, text: &str) -> Result<(InstanceId, bool)> {
        let entry: &'static Entry = capsule_providers::find(provider)?;
        let is_it =
            |id: &InstanceId| id.provider == entry.descriptor.id && (id.native == text || id.to_string() == text);
        let inventory = self.engine().await?.inventory().await?;
        if let Some(record) = inventory.into_iter().find(|record| is_it(&record.id)) {
            return Ok((record.id, true));
        }
        if let Some(id) = text.parse::<InstanceId>().ok().filter(is_it) {
            return Ok((id, false));
        }
        let key = (provider.to_owned(), text.to_owned());
        let seen = self.seen.lock().expect("no panic happens under this lock").get(&key).cloned();
        if let Some(id) = seen {
            return Ok((id, false));
        }
        let listed = self.list(provider).await?;
        let found = listed.into_iter().find(|instance| is_it(&instance.id));
        found.map(|instance| (instance.id, false)).ok_or_else(|| missing(provider, text))
    }

    async fn find_ours(&self, provider: &str, text: &str, unmanaged: bool) -> Result<InstanceId> {
        let (id, ours) = self.find(provider, text).await?;
        if ours || unmanaged {
            return Ok(id);
        }
        Err(Error::new(ErrorKind::Invalid, format!("{id} was not made by this installation."))
            .with_hint("Take it in with `capsule adopt`, or say `allow_unmanaged=True` if you mean it all the same."))
    }
}

/// The outcome, if it is over as wanted.
fn over(outcome: Outcome) -> Result<Outcome> {
    match outcome.finish {
        Finish::Done => Ok(outcome),
        Finish::Failed(error) => Err(error),
        Finish::StillRunning { why } => {
            let hint = format!("`capsule resume {}` goes on.", outcome.operation);
            Err(Error::new(ErrorKind::Timeout, why).with_effect(capsule_core::Effect::Unknown).with_hint(hint))
        }
    }
}

fn missing(provider: &str, id: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("{provider} has no server `{id}`.")).with_provider(provider.to_owned())
}

fn nothing() -> Error {
    Error::new(ErrorKind::Store, "The operation concerns no server.")
}
