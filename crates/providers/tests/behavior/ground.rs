//! One trial's place: a provider, an owner that nobody else has, and someone who sees what the provider does not tell.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use capsule_core::{
    Catalog, Clock, Instance, InstanceId, InstanceSpec, InstanceStatus, Order, OwnerId, PlanKind, Provider, Scope,
    Stock, Tags, Token,
};
use libtest_mimic::Failed;

use crate::targets::Target;

/// The trial of one bullet.
pub(crate) type Attempt = for<'a> fn(&'a Ground) -> Pin<Box<dyn Future<Output = Result<(), Failed>> + Send + 'a>>;

/// Where a trial happens.
pub(crate) struct Ground {
    /// The provider on trial.
    pub(crate) provider: Arc<dyn Provider>,
    /// The same with a key that is wrong.
    pub(crate) stranger: Arc<dyn Provider>,
    /// The same under another account, where the target has one.
    pub(crate) other: Option<Arc<dyn Provider>>,
    /// Its time.
    pub(crate) clock: Arc<dyn Clock>,
    /// Whose servers the trial makes.
    pub(crate) owner: OwnerId,
    /// Whose servers it leaves alone.
    pub(crate) neighbour: OwnerId,
    /// What is ordered.
    pub(crate) kind: PlanKind,
    /// How many servers fit a page of the vendor's list.
    pub(crate) page: usize,
    /// Who sees more.
    pub(crate) witness: Box<dyn Witness>,
}

/// Somebody at the other side.
#[async_trait]
pub(crate) trait Witness: Send + Sync {
    /// What still costs money and carries this owner's mark.
    async fn billed(&self, owner: &OwnerId) -> Result<Vec<String>, Failed>;

    /// What still costs money at all.
    async fn everything(&self) -> Result<Vec<String>, Failed>;

    /// The user-data that a server's first boot gets.
    async fn user_data(&self, id: &InstanceId) -> Result<Option<String>, Failed>;

    /// Whether what its own disk holds would start, were it started now.
    async fn starts_from_own_disk(&self, id: &InstanceId) -> Result<bool, Failed>;

    /// Its tags as the vendor keeps them.
    async fn words(&self, id: &InstanceId) -> Result<Vec<String>, Failed>;

    /// Takes both of our tags from a server, as if its owner had made it by hand.
    async fn unmark(&self, id: &InstanceId) -> Result<(), Failed>;

    /// From now on a page of the list after the first one fails for good.
    async fn break_later_pages(&self) -> Result<(), Failed>;

    /// Whether everything here vanishes by itself after the trial.
    fn is_disposable(&self) -> bool;

    /// Ends a server behind the driver's back, and nothing of what is beside it.
    async fn vanish(&self, id: &InstanceId) -> Result<(), Failed>;

    /// Servers like this one under these names, where making each by a call of its own would take too long; their ids.
    async fn multiply(&self, like: &InstanceId, names: &[String]) -> Result<Option<Vec<String>>, Failed>;
}

/// Runs one trial and takes away what it made, whatever came of it.
pub(crate) fn attempt(target: &dyn Target, attempt: Attempt) -> Result<(), Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let ground = target.ground().await?;
        let outcome = attempt(&ground).await;
        let owners = [&ground.owner, &ground.neighbour];
        for owner in owners.into_iter().filter(|_| !ground.witness.is_disposable()) {
            // A trial about broken lists leaves the list broken.
            for server in ground.provider.list(&Scope::Owner(owner.clone())).await.unwrap_or_default() {
                let _ = ground.provider.delete(&server.id).await;
            }
        }
        outcome
    })
}

impl Ground {
    /// An order of the cheapest plan in stock that boots Ubuntu 24.04, of the kind that is on trial here.
    pub(crate) async fn order(&self, names: &[&str]) -> Result<Order, Failed> {
        self.order_of(self.kind, names).await
    }

    /// The same of any kind.
    pub(crate) async fn order_of(&self, kind: PlanKind, names: &[&str]) -> Result<Order, Failed> {
        let catalog = self.provider.catalog().await?;
        let mut offers: Vec<_> = catalog.offers.iter().filter(|offer| offer.stock != Stock::Out).collect();
        offers.sort_by_key(|offer| {
            let hourly = offer.price.as_ref().and_then(|price| price.hourly().ok());
            (hourly.is_none(), hourly.map(|money| money.amount()))
        });
        let spec = offers.into_iter().find_map(|offer| spec(&catalog, kind, &offer.plan, &offer.region));
        Ok(Order {
            token: Token::random(),
            again: false,
            owner: self.owner.clone(),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            spec: spec.ok_or_else(|| format!("nothing on offer of the kind {kind:?} boots Ubuntu 24.04"))?,
        })
    }

    /// One server, just ordered.
    pub(crate) async fn one(&self, name: &str) -> Result<Instance, Failed> {
        let made = self.provider.create(&self.order(&[name]).await?).await?;
        Ok(made.into_iter().next().ok_or("create gave no server")?)
    }

    /// One server that runs.
    pub(crate) async fn running(&self, name: &str) -> Result<Instance, Failed> {
        let made = self.one(name).await?;
        self.becomes(&made.id, InstanceStatus::Running).await
    }

    /// Waits for a state.
    pub(crate) async fn becomes(&self, id: &InstanceId, status: InstanceStatus) -> Result<Instance, Failed> {
        let mut seen = "nothing".to_owned();
        let deadline = self.clock.now() + self.patience();
        while self.clock.now() < deadline {
            match self.provider.get(id).await? {
                Some(server) if server.status == status => return Ok(server),
                Some(server) => seen = format!("{} ({})", server.status, server.native_status),
                None => seen = "nothing".to_owned(),
            }
            self.pause().await;
        }
        Err(format!("{id} did not become {status}; it showed {seen}").into())
    }

    /// Waits for the end.
    pub(crate) async fn ends(&self, id: &InstanceId) -> Result<(), Failed> {
        let deadline = self.clock.now() + self.patience();
        while self.clock.now() < deadline {
            if self.provider.get(id).await?.is_none() {
                return Ok(());
            }
            self.pause().await;
        }
        Err(format!("{id} is still there").into())
    }

    /// Lists until so many are shown, but no longer than the vendor's lists may lag.
    pub(crate) async fn lists(&self, scope: &Scope, count: usize) -> Result<Vec<Instance>, Failed> {
        let deadline = self.clock.now() + self.provider.capabilities().list_lag;
        loop {
            let listed = self.provider.list(scope).await?;
            if listed.len() >= count || self.clock.now() >= deadline {
                return Ok(listed);
            }
            self.pause().await;
        }
    }

    /// A server is gone, nobody asked for that, and it shows everywhere.
    pub(crate) async fn vanish(&self, server: &Instance) -> Result<(), Failed> {
        self.witness.vanish(&server.id).await?;
        self.past_the_lag().await;
        Ok(())
    }

    /// Until well after the vendor should be done.
    pub(crate) async fn past_the_lag(&self) {
        self.clock.sleep(self.provider.capabilities().list_lag).await;
    }

    async fn pause(&self) {
        self.clock.sleep(self.provider.capabilities().poll_interval).await;
    }

    fn patience(&self) -> Duration {
        let capabilities = self.provider.capabilities();
        capabilities.ready_within.max(capabilities.ready_within_metal) * 2
    }
}

fn spec(catalog: &Catalog, kind: PlanKind, plan: &str, region: &str) -> Option<InstanceSpec> {
    let plan = catalog.plan(plan).filter(|plan| plan.kind == kind && plan.gpu.is_none())?;
    let image = catalog.image_for("ubuntu-24.04", plan, region)?;
    let mut tags = Tags::new();
    tags.insert("purpose", "trial");
    Some(InstanceSpec {
        plan: plan.id.clone(),
        region: region.to_owned(),
        image: image.id.clone(),
        disk_gib: None,
        ssh_keys: Vec::new(),
        user_data: Some("#cloud-config\n".to_owned()),
        tags,
    })
}
