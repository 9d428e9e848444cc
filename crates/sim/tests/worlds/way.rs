//! The way of a process to the clouds, and its drivers.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use capsule_core::http::{ByteStream, Ledgers, SendError, Transport};
use capsule_core::{
    Account, Capabilities, Catalog, Clock, Connect, Descriptor, Disks, Instance, InstanceId, Leftovers, Marking, Order,
    OwnLoader, Power, Provider, ProviderId, Result, Scope, SettingValue, Settings, Statements, Tags, tags,
};
use capsule_engine::Providers;

use crate::stage::Stage;
use crate::world::Sabotage;

/// The way of one process to the clouds: others may go first, and it may be killed, on either side of each request.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) way: Arc<dyn Transport>,
    pub(crate) stage: Arc<Stage>,
    pub(crate) number: usize,
    pub(crate) sends_again: bool,
    pub(crate) trace: Option<Arc<Mutex<Vec<String>>>>,
}

#[async_trait]
impl Transport for Wire {
    async fn send(&self, request: http::Request<Bytes>) -> std::result::Result<http::Response<ByteStream>, SendError> {
        self.stage.turn().await;
        let what = format!("{} {}", request.method(), request.uri());
        let again = (self.sends_again && request.method() == http::Method::POST).then(|| request.clone());
        let mut answer = self.way.send(request).await;
        if let Some(request) = again
            && answer.as_ref().map_or(true, |answer| answer.status().is_server_error())
        {
            answer = self.way.send(request).await;
        }
        if let Some(trace) = &self.trace {
            let came = match &answer {
                Ok(answer) => answer.status().to_string(),
                Err(error) => error.message.clone(),
            };
            trace.lock().unwrap().push(format!("{} p{} {what} -> {came}", self.stage.now(), self.number));
        }
        self.stage.turn().await;
        answer
    }
}

/// The drivers of one process.
pub(crate) struct Directory {
    pub(crate) wire: Arc<Wire>,
    pub(crate) stage: Arc<Stage>,
    pub(crate) sabotage: Sabotage,
}

/// The settings of a driver, narrowed to one region so that a list is one request.
pub(crate) fn settings(id: &str) -> Settings {
    let values = capsule_sim::credentials(id)
        .into_iter()
        .map(|(key, value)| (key.to_owned(), SettingValue { value: value.into(), source: "the simulator".to_owned() }));
    let regions: &[&str] = match id {
        "aws" => &["us-east-1"],
        "scaleway" => &["fr-par-1"],
        _ => &[],
    };
    let regions = regions.iter().map(|region| (*region).to_owned()).collect();
    Settings { values: values.collect(), regions, force_retired: true, ..Settings::default() }
}

#[async_trait]
impl Providers for Directory {
    async fn provider(&self, id: &ProviderId) -> Result<Arc<dyn Provider>> {
        let connect = Connect {
            settings: settings(id.as_str()),
            transport: self.wire.clone(),
            clock: self.stage.clone(),
            ledgers: Ledgers::default(),
        };
        let driver = (capsule_providers::find(id.as_str())?.connect)(connect).await?;
        Ok(match self.sabotage {
            Sabotage::Blind | Sabotage::Unsparing => Arc::new(Broken(driver, self.sabotage)),
            _ => driver,
        })
    }
}

/// A driver whose lists are broken on purpose.
#[derive(Debug)]
struct Broken(Arc<dyn Provider>, Sabotage);

#[async_trait]
impl Provider for Broken {
    fn descriptor(&self) -> &'static Descriptor {
        self.0.descriptor()
    }
    fn capabilities(&self) -> &'static Capabilities {
        self.0.capabilities()
    }
    async fn verify(&self) -> Result<Account> {
        self.0.verify().await
    }
    async fn catalog(&self) -> Result<Catalog> {
        self.0.catalog().await
    }
    fn check(&self, order: &Order) -> Result<()> {
        self.0.check(order)
    }
    async fn create(&self, order: &Order) -> Result<Vec<Instance>> {
        self.0.create(order).await
    }
    async fn get(&self, id: &InstanceId) -> Result<Option<Instance>> {
        self.0.get(id).await
    }
    async fn list(&self, scope: &Scope) -> Result<Vec<Instance>> {
        let mut listed = self.0.list(scope).await?;
        match (self.1, scope) {
            (Sabotage::Blind, scope) if scope.token().is_some() => listed.clear(),
            (Sabotage::Unsparing, Scope::Owner(owner)) => {
                for instance in &mut listed {
                    (instance.tags, instance.created_at) = (Tags::new(), None);
                    instance.tags.insert(tags::OWNER, owner.as_str());
                }
            }
            _ => {}
        }
        Ok(listed)
    }
    async fn power(&self, id: &InstanceId, to: Power) -> Result<()> {
        self.0.power(id, to).await
    }
    async fn delete(&self, id: &InstanceId) -> Result<()> {
        self.0.delete(id).await
    }
    fn leftovers(&self) -> Option<&dyn Leftovers> {
        self.0.leftovers()
    }

    fn statements(&self) -> Option<&dyn Statements> {
        self.0.statements()
    }

    fn own_loader(&self) -> Option<&dyn OwnLoader> {
        self.0.own_loader()
    }

    fn disks(&self) -> Option<&dyn Disks> {
        self.0.disks()
    }

    fn marking(&self) -> Option<&dyn Marking> {
        self.0.marking()
    }
}
