//! The flows, each from a moment prepared for it to its end.

use capsule_core::{Error, InstanceId, InstanceSpec, Order, Power, Scope, SshKey, Tags, Token};
use capsule_engine::{Adopt, DeployRequest, Finish, OnFailure, Outcome, Placement, Providers as _, Silent, Wait};

use crate::ground::{Ground, Moment, Process};

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKHEfSYcJuYt9XzdTRkFsqjJT1+vfDGCtS3U+gbcAJZ7 capsule@test";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    /// One server.
    Deploy,
    /// The same; what does not come up stays.
    DeployKeep,
    /// Three servers: in one call where the provider can, else in a call each.
    DeploySeveral,
    Destroy,
    Stop,
    Start,
    /// A server with our mark that the journal does not know.
    Adopt,
}

impl Flow {
    pub(crate) const ALL: [Flow; 7] =
        [Flow::Deploy, Flow::DeployKeep, Flow::DeploySeveral, Flow::Destroy, Flow::Stop, Flow::Start, Flow::Adopt];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Flow::Deploy => "deploy",
            Flow::DeployKeep => "deploy_keep",
            Flow::DeploySeveral => "deploy_several",
            Flow::Destroy => "destroy",
            Flow::Stop => "stop",
            Flow::Start => "start",
            Flow::Adopt => "adopt",
        }
    }

    pub(crate) fn is_deploy(self) -> bool {
        matches!(self, Flow::Deploy | Flow::DeployKeep | Flow::DeploySeveral)
    }

    /// The names of the servers that there are when it ended well.
    pub(crate) fn names(self) -> &'static [&'static str] {
        match self {
            Flow::DeploySeveral => &["api", "web", "www"],
            Flow::Destroy => &[],
            _ => &["web"],
        }
    }

    fn request(self, placements: &[Placement]) -> DeployRequest {
        DeployRequest {
            names: self.names().iter().map(|name| (*name).to_owned()).collect(),
            placements: placements.to_vec(),
            ssh_keys: vec![SshKey::Public(KEY.to_owned())],
            user_data: Some("#cloud-config\n".to_owned()),
            tags: [("env".to_owned(), "test".to_owned())].into_iter().collect(),
            idempotency_key: None,
            asked: None,
            wait: Wait::Running,
            goal: None,
            timeout: None,
            on_failure: if self == Flow::DeployKeep { OnFailure::Keep } else { OnFailure::Delete },
        }
    }

    /// Makes what it begins with; the server that it is about.
    pub(crate) async fn prepare(self, ground: &Ground, placements: &[Placement]) -> (Moment, Option<InstanceId>) {
        let process = ground.process(None, false).await;
        if self.is_deploy() {
            return (ground.moment(), None);
        }
        if self == Flow::Adopt {
            let driver = ground.driver().await;
            let made = driver.create(&Flow::order(ground, &placements[0])).await.unwrap();
            ground.clock.advance(driver.capabilities().list_lag);
            return (ground.moment(), Some(made[0].id.clone()));
        }
        let engine = &process.engine;
        let made = engine.deploy(Flow::Deploy.request(placements), &Silent).await.unwrap();
        assert!(made.iter().all(is_done), "{made:?}");
        let id = made[0].id.clone().unwrap();
        if self == Flow::Start {
            assert!(is_done(&engine.power(&id, Power::Off, Wait::Running, &Silent).await.unwrap()));
        }
        (ground.moment(), Some(id))
    }

    /// What another journal once ordered.
    pub(crate) fn order(ground: &Ground, placement: &Placement) -> Order {
        Order {
            token: Token::random(),
            again: false,
            owner: ground.owner.clone(),
            names: vec!["web".to_owned()],
            spec: InstanceSpec {
                plan: placement.plan.clone(),
                region: placement.region.clone(),
                image: placement.image.clone(),
                disk_gib: placement.disk_gib,
                ssh_keys: Vec::new(),
                user_data: None,
                tags: Tags::new(),
            },
        }
    }

    /// Carries it out. An error means that nothing was begun.
    pub(crate) async fn run(
        self,
        ground: &Ground,
        process: &Process,
        placements: &[Placement],
        id: Option<InstanceId>,
    ) -> Result<Vec<Outcome>, Error> {
        let engine = &process.engine;
        let known = || id.clone().expect("there is a server");
        match self {
            Flow::Deploy | Flow::DeployKeep | Flow::DeploySeveral => {
                engine.deploy(self.request(placements), &Silent).await
            }
            Flow::Destroy => engine.destroy(&known(), &Silent).await.map(|outcome| vec![outcome]),
            Flow::Stop => engine.power(&known(), Power::Off, Wait::Running, &Silent).await.map(|o| vec![o]),
            Flow::Start => engine.power(&known(), Power::On, Wait::Running, &Silent).await.map(|o| vec![o]),
            Flow::Adopt => {
                let provider = process.drivers.provider(&ground.subject.provider.into()).await?;
                let found = provider.list(&Scope::Owner(ground.owner.clone())).await?;
                for instance in found {
                    engine.adopt(instance, Adopt::default()).await?;
                }
                Ok(Vec::new())
            }
        }
    }
}

pub(crate) fn is_done(outcome: &Outcome) -> bool {
    matches!(outcome.finish, Finish::Done)
}
