//! The facade: settings, providers, catalogues and the engine, put together once per run.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use capsule_core::http::{HttpTransport, Ledgers, Transport};
use capsule_core::{
    Catalog, Clock, Connect, Descriptor, Error, ErrorKind, Lifecycle, Net, OwnerId, Provider, ProviderId, Result,
    SettingValue, Settings, SystemClock, SystemNet,
};
use capsule_engine::{Database, Engine};
use capsule_providers::Entry;
use capsule_sim::Sim;
use capsule_xnode::{Authorities, Outside};
use futures_util::future::join_all;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::cli::{Format, Global};
use crate::failure::Failure;
use crate::nodes::{Checker, Logins, Node, Pins, Watch};
use crate::output;
use crate::own::{OWN, Own};
use crate::settings::{ConfigFile, Home, database, holds_password, resolve};

/// How long a kept catalogue counts as fresh.
const CATALOG_FRESH: Duration = Duration::from_secs(3600);

/// How much faster than real clouds the sandbox works.
pub const SANDBOX_SPEED: u32 = 100;

/// How long a silent port of a simulated server is waited for.
const SANDBOX_DIAL_WITHIN: Duration = Duration::from_secs(1);

/// One run of the program.
pub struct Session {
    /// Where state lies; under `--sandbox` a place of its own.
    pub home: Home,
    /// The time.
    pub clock: Arc<dyn Clock>,
    global: Global,
    config: ConfigFile,
    /// The journal's, where it is not the file in the home.
    database: Option<Database>,
    sandbox: Option<Sim>,
    shared: Arc<Shared>,
    /// Whose turn it is to ask for a provider's catalogue: many who need one at once ask once.
    asking: Mutex<HashMap<ProviderId, Arc<tokio::sync::Mutex<()>>>>,
}

/// A catalogue on disk, with what it depends on beside the secret.
#[derive(Serialize, Deserialize)]
struct Kept {
    endpoint: Option<String>,
    regions: Vec<String>,
    /// What else is set and no secret, such as the region whose plans are wanted.
    #[serde(default)]
    settings: BTreeMap<String, String>,
    catalog: Catalog,
}

/// The settings of a provider that are no secrets.
fn plain(settings: &Settings, descriptor: &Descriptor) -> BTreeMap<String, String> {
    let told = descriptor.settings.iter().filter(|setting| !setting.secret);
    told.filter_map(|setting| Some((setting.key.to_owned(), settings.get(setting.key)?.expose_secret().to_owned())))
        .collect()
}

/// What the engine needs as well, to find providers by id.
struct Shared {
    transport: Arc<dyn Transport>,
    clock: Arc<dyn Clock>,
    ledgers: Ledgers,
    /// Settings of every provider, read once.
    settings: HashMap<ProviderId, Result<Settings>>,
    /// Whether orders to retired providers are wanted all the same.
    force_retired: AtomicBool,
    connected: Mutex<HashMap<ProviderId, Arc<dyn Provider>>>,
}

impl Session {
    /// Reads the settings; sends nothing and makes no file.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for an unusable home or config file.
    pub fn open(global: Global) -> Result<Self> {
        Session::open_with(global, &[])
    }

    /// The same with keys that come before what is set elsewhere, by provider; the sandbox has its own.
    ///
    /// # Errors
    /// As [`open`](Session::open).
    pub fn open_with(global: Global, keys: &[(String, SecretString)]) -> Result<Self> {
        let real = Home::locate(global.home.as_deref())?;
        let home = if global.sandbox { real.sandbox() } else { real.clone() };
        let (path, named) = match &global.config {
            Some(path) => (path.clone(), true),
            None => (real.join("providers.yml"), false),
        };
        let config = ConfigFile::read(path, named)?;
        if config.is_exposed() {
            output::note(format!(
                "warning: others can read {}; `chmod 600` it. The next `provider login` mends it too.",
                config.path().display()
            ));
        }
        let database = database(global.database.as_ref(), &config, global.sandbox)?;
        if global.database.as_ref().is_some_and(holds_password) {
            output::note(
                "warning: others on this machine can see the password in --database while this runs; set \
                 CAPSULE_DATABASE or `database:` in providers.yml instead.",
            );
        }
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let sandbox = if global.sandbox {
            home.create()?;
            Some(Sim::open(&home.join("world.json"), clock.clone(), sandbox_options())?)
        } else {
            None
        };
        let transport: Arc<dyn Transport> = match &sandbox {
            Some(sim) => sim.transport(),
            None => Arc::new(HttpTransport::new()),
        };
        let settings = capsule_providers::all()
            .iter()
            .map(|entry| {
                let settings = if global.sandbox {
                    Ok(sandbox_settings(entry.descriptor))
                } else {
                    resolve(entry.descriptor, &config)
                };
                let given = keys.iter().find(|(provider, _)| provider == entry.descriptor.id.as_str());
                let settings = match given.filter(|_| !global.sandbox) {
                    Some((_, key)) => settings.map(|mut settings| {
                        let value = SettingValue { value: key.clone(), source: "the program".to_owned() };
                        settings.values.insert("api_key".to_owned(), value);
                        settings
                    }),
                    None => settings,
                };
                (entry.descriptor.id.clone(), settings)
            })
            .collect();
        let ledgers = Ledgers::within(home.join("limits"));
        let shared = Arc::new(Shared {
            transport,
            clock: clock.clone(),
            ledgers,
            settings,
            force_retired: AtomicBool::new(false),
            connected: Mutex::default(),
        });
        Ok(Session { home, clock, global, config, database, sandbox, shared, asking: Mutex::default() })
    }

    /// The way out: to the clouds, or to the simulated ones.
    pub fn transport(&self) -> Arc<dyn Transport> {
        self.shared.transport.clone()
    }

    /// What the user set in the config file.
    pub fn config(&self) -> &ConfigFile {
        &self.config
    }

    /// How much faster than real time the clouds work: 1 outside of the sandbox.
    pub fn pace(&self) -> u32 {
        if self.global.sandbox { sandbox_speed() } else { 1 }
    }

    /// The way to servers as they show from outside.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if the sandbox's file cannot be used.
    pub fn outside(&self) -> Result<Outside> {
        let (net, authorities): (Arc<dyn Net>, _) = match &self.sandbox {
            Some(sim) => (sim.net(), Authorities::Given(vec![sim.authority()?])),
            None => (Arc::new(SystemNet), Authorities::System),
        };
        let outside = Outside::new(net, self.clock.clone(), authorities);
        Ok(if self.global.sandbox { outside.dial_within(SANDBOX_DIAL_WITHIN) } else { outside })
    }

    /// The keys that this installation knows its nodes by.
    pub fn pins(&self) -> Pins {
        Pins::new(self.home.clone())
    }

    /// Whatever looks at nodes and knows them.
    ///
    /// # Errors
    /// As [`outside`](Session::outside).
    pub fn checker(&self) -> Result<Checker> {
        let logins = Logins::new(self.home.clone());
        Ok(Checker { outside: self.outside()?, pins: self.pins(), logins, pace: self.pace() })
    }

    /// Whether the providers' own hosts can be reached, of the nodes' providers and those that are set up. Nobody else's are
    /// asked. None in the sandbox, whose providers have no hosts.
    pub async fn anchors(&self, nodes: &[Node], outside: &Outside) -> Vec<bool> {
        if self.global.sandbox {
            return Vec::new();
        }
        let is_near = |entry: &&Entry| {
            let set_up = self.settings(entry).is_ok_and(|settings| entry.is_configured(&settings));
            set_up || nodes.iter().any(|node| node.record.id.provider == entry.descriptor.id)
        };
        let hosts = capsule_providers::all().iter().filter(is_near).filter_map(|entry| {
            let url = url::Url::parse(&entry.descriptor.endpoint.replace("{region}", "us-east-1")).ok()?;
            Some((url.host_str()?.to_owned(), url.port_or_known_default()?))
        });
        join_all(hosts.take(3).map(|(host, port)| async move {
            let Ok(found) = outside.net().resolve(&host).await else { return false };
            match found.first() {
                Some(ip) => outside.knock(*ip, port).await == capsule_xnode::Port::Open,
                None => false,
            }
        }))
        .await
    }

    /// Whether results are wanted as a document for programs, of which [`output::json`] knows the format.
    pub fn json(&self) -> bool {
        self.global.output != Format::Table
    }

    /// Whether the clouds are simulated.
    pub fn is_sandbox(&self) -> bool {
        self.global.sandbox
    }

    /// Where the sandbox keeps its state, whether or not this run is in it.
    pub fn sandbox_home(&self) -> Home {
        if self.global.sandbox { self.home.clone() } else { self.home.sandbox() }
    }

    /// The simulated clouds on the sandbox's file.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if the file cannot be used.
    pub fn open_sandbox(&self) -> Result<Sim> {
        self.open_sandbox_with(sandbox_options())
    }

    /// The same with other options.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if the file cannot be used.
    pub fn open_sandbox_with(&self, options: capsule_sim::Options) -> Result<Sim> {
        let home = self.sandbox_home();
        home.create()?;
        Sim::open(&home.join("world.json"), self.clock.clone(), options)
    }

    /// Whether a simulated account of these providers has an SSH key of this id, name or fingerprint; `true` outside of the
    /// sandbox, where the vendor alone knows.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if the sandbox's file cannot be used.
    pub fn may_have_ssh_key(&self, word: &str, providers: &[ProviderId]) -> Result<bool> {
        let Some(sandbox) = &self.sandbox else { return Ok(true) };
        sandbox.look(|world| {
            let clouds = providers.iter().filter_map(|provider| world.clouds.get(provider.as_str()));
            let mut kept = clouds.flat_map(|cloud| cloud.resources.values()).flat_map(|shelf| shelf.iter());
            // At Linode a key is meant by whose it is.
            world.accounts.iter().any(|account| account.name == word && providers.contains(&account.provider))
                || kept.any(|one| {
                    one.gone_at.is_none() && (one.id == word || one.name == word || one.data["fingerprint"] == word)
                })
        })
    }

    /// What the user set for a provider.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for a malformed entry.
    pub fn settings(&self, entry: &Entry) -> Result<Settings> {
        self.shared.settings(&entry.descriptor.id)
    }

    /// From now on retired providers take orders: for a user who insists, and for orders that are in the journal.
    pub fn force_retired(&self) {
        self.shared.force_retired.store(true, Ordering::Relaxed);
    }

    /// The named providers, or all that are set up.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for an unknown name, [`ErrorKind::Unauthenticated`] if none is set up.
    pub fn chosen(&self, names: &[String]) -> Result<Vec<&'static Entry>> {
        if !names.is_empty() {
            return names.iter().map(|name| capsule_providers::find(name)).collect();
        }
        let mut chosen = Vec::new();
        let mut half_set_up = Vec::new();
        for entry in capsule_providers::all() {
            let settings = self.settings(entry)?;
            if entry.is_configured(&settings) {
                chosen.push(entry);
            } else if entry
                .descriptor
                .settings
                .iter()
                .any(|setting| setting.secret && settings.get(setting.key).is_some())
            {
                // Who has set a key means to use it, so what is missing beside it is said.
                let mut required = entry.descriptor.settings.iter().filter(|setting| setting.required);
                half_set_up.extend(required.find_map(|setting| settings.require(entry.descriptor, setting.key).err()));
            }
        }
        if chosen.is_empty() {
            if let Some(error) = half_set_up.into_iter().next() {
                return Err(error);
            }
            return Err(Error::new(ErrorKind::Unauthenticated, "No provider is set up.").with_hint(
                "Run `capsule provider login NAME`, set a key such as DIGITALOCEAN_TOKEN, or try everything with --sandbox. `capsule providers` lists the names.",
            ));
        }
        for error in half_set_up {
            output::note(format!("warning: {error} It is left out. {}", error.hint().unwrap_or_default()));
        }
        Ok(chosen)
    }

    /// The driver of a provider.
    ///
    /// # Errors
    /// What is missing in the settings.
    pub async fn connect(&self, entry: &'static Entry) -> Result<Arc<dyn Provider>> {
        self.shared.connect(entry).await
    }

    /// A driver for one list: narrowed to `regions` where any are named, and without bodies where they are not wanted.
    ///
    /// # Errors
    /// What is missing in the settings.
    pub async fn connect_for_list(
        &self,
        entry: &'static Entry,
        regions: &[String],
        lean: bool,
    ) -> Result<Arc<dyn Provider>> {
        let mut settings = self.settings(entry)?;
        if !regions.is_empty() {
            settings.regions = regions.to_vec();
        }
        settings.lean = lean;
        self.shared.connect_with(entry, settings).await
    }

    /// A driver with values that are not stored yet.
    ///
    /// # Errors
    /// What is missing in the settings.
    pub async fn connect_with(
        &self,
        entry: &'static Entry,
        values: &[(String, SecretString)],
    ) -> Result<Arc<dyn Provider>> {
        let mut settings = self.settings(entry)?;
        for (key, value) in values {
            settings.values.insert(key.clone(), SettingValue { value: value.clone(), source: "the prompt".to_owned() });
        }
        self.shared.connect_with(entry, settings).await
    }

    /// Stores values of a provider in the config file and returns its path.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if it cannot be written.
    pub fn store(&self, descriptor: &Descriptor, values: &[(String, SecretString)]) -> Result<PathBuf> {
        // Read anew: another process may have saved meanwhile.
        let mut config = ConfigFile::read(self.config.path().to_owned(), false)?;
        config.save(descriptor.id.as_str(), values)?;
        Ok(config.path().to_owned())
    }

    /// Which installation this is: the home's own, or that of everybody who shares the database.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if the home cannot be used, [`ErrorKind::Store`] for the database.
    pub async fn owner(&self) -> Result<OwnerId> {
        let own = self.home.owner()?;
        match &self.database {
            Some(database) => database.installation(if self.global.sandbox { "sandbox" } else { "clouds" }, &own).await,
            None => Ok(own),
        }
    }

    /// The same, if there was one before.
    ///
    /// # Errors
    /// As [`owner`](Session::owner).
    pub async fn known_owner(&self) -> Result<Option<OwnerId>> {
        match &self.database {
            Some(_) => self.owner().await.map(Some),
            None => self.home.known_owner(),
        }
    }

    /// The engine on this home's journal; opened anew at each call.
    ///
    /// # Errors
    /// [`ErrorKind::Store`] if the journal cannot be used.
    pub async fn engine(&self) -> Result<Engine> {
        let owner = self.owner().await?;
        self.home.create()?;
        Engine::open(capsule_engine::Options {
            database: self.database.clone().unwrap_or_else(|| Database::Sqlite(self.home.join("journal.db"))),
            owner,
            clock: self.clock.clone(),
            providers: Arc::new(self.providers()),
            pace: self.pace(),
            worker: format!("cli-{}", std::process::id()),
            readiness: Some(Arc::new(Watch { outside: self.outside()?, pins: self.pins(), pace: self.pace() })),
            notice: Some(Arc::new(|text| output::note(text))),
            after_event: crash_hook(),
        })
        .await
    }

    /// Where the engine finds drivers.
    pub fn providers(&self) -> impl capsule_engine::Providers {
        Directory(self.shared.clone())
    }

    /// The catalogues of the named providers, or of all that are set up; kept on disk for an hour.
    ///
    /// What a provider refuses comes back beside what the others gave.
    ///
    /// # Errors
    /// As [`chosen`](Session::chosen).
    pub async fn catalogs(&self, names: &[String], refresh: bool) -> Result<(Vec<Catalog>, Vec<Error>)> {
        let entries = self.chosen(names)?;
        let answers = join_all(entries.into_iter().map(|entry| self.catalog(entry, refresh))).await;
        let mut catalogs = Vec::new();
        let mut errors = Vec::new();
        for answer in answers {
            match answer {
                Ok(catalog) => catalogs.push(catalog),
                Err(error) => errors.push(error),
            }
        }
        Ok((catalogs, errors))
    }

    async fn catalog(&self, entry: &'static Entry, refresh: bool) -> Result<Catalog> {
        let turn = {
            let mut asking = self.asking.lock().expect("no panic happens under this lock");
            asking.entry(entry.descriptor.id.clone()).or_default().clone()
        };
        let _turn = turn.lock().await;
        let path = self.home.join(&format!("catalog-{}.json", entry.descriptor.id));
        let settings = self.settings(entry)?;
        let endpoint = settings.endpoint.as_ref().map(ToString::to_string);
        let plain = plain(&settings, entry.descriptor);
        // One that cannot be read, or that was asked of another place, is only a reason to ask.
        let kept: Option<Kept> = std::fs::read(&path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let same =
            |kept: &Kept| kept.endpoint == endpoint && kept.regions == settings.regions && kept.settings == plain;
        let kept = kept.filter(same);
        let kept = kept.map(|kept| kept.catalog);
        let age =
            |catalog: &Catalog| Duration::try_from(self.clock.now().duration_since(catalog.at)).unwrap_or_default();
        if let Some(catalog) = kept.as_ref().filter(|catalog| !refresh && age(catalog) < CATALOG_FRESH) {
            return Ok(catalog.clone());
        }
        let asked = match self.shared.connect(entry).await {
            Ok(provider) => provider.catalog().await,
            Err(error) => Err(error),
        };
        match (asked, kept) {
            (Ok(catalog), _) => {
                self.home.create()?;
                let kept = Kept { endpoint, regions: settings.regions, settings: plain, catalog };
                crate::settings::keep(&path, &serde_json::to_vec(&kept).expect("a catalogue can be written as JSON"))?;
                Ok(kept.catalog)
            }
            (Err(error), Some(catalog)) if !refresh && !error.kind().is_credentials() => {
                output::note(format!(
                    "{error} Using the catalogue of {} ago.",
                    output::age(Some(catalog.at), self.clock.now())
                ));
                Ok(catalog)
            }
            (Err(error), _) => Err(error),
        }
    }

    /// Says on stderr how old the oldest catalogue is.
    pub fn say_age(&self, catalogs: &[Catalog]) {
        if let Some(oldest) = catalogs.iter().map(|catalog| catalog.at).min() {
            let age = output::age(Some(oldest), self.clock.now());
            output::note(format!("As of {age} ago; --refresh asks again."));
        }
    }

    /// The end of a command that several providers took part in.
    ///
    /// # Errors
    /// The errors, if there are any.
    pub fn finish(&self, errors: Vec<Error>) -> Result<(), Failure> {
        if errors.is_empty() { Ok(()) } else { Err(Failure::several(errors)) }
    }
}

impl Shared {
    fn settings(&self, id: &ProviderId) -> Result<Settings> {
        let mut settings = self.settings.get(id).cloned().unwrap_or_else(|| Ok(Settings::default()))?;
        settings.force_retired |= self.force_retired.load(Ordering::Relaxed);
        Ok(settings)
    }

    async fn connect(&self, entry: &'static Entry) -> Result<Arc<dyn Provider>> {
        let known = self.connected.lock().expect("no panic happens under this lock").get(&entry.descriptor.id).cloned();
        if let Some(provider) = known {
            return Ok(provider);
        }
        let provider = self.connect_with(entry, self.settings(&entry.descriptor.id)?).await?;
        // Two at once: the first one stays, so that there is one limiter per account.
        let mut connected = self.connected.lock().expect("no panic happens under this lock");
        Ok(connected.entry(entry.descriptor.id.clone()).or_insert(provider).clone())
    }

    async fn connect_with(&self, entry: &'static Entry, settings: Settings) -> Result<Arc<dyn Provider>> {
        let Shared { transport, clock, ledgers, .. } = self;
        let connect =
            Connect { settings, transport: transport.clone(), clock: clock.clone(), ledgers: ledgers.clone() };
        (entry.connect)(connect).await
    }
}

/// How the engine finds a provider by its id.
struct Directory(Arc<Shared>);

#[async_trait]
impl capsule_engine::Providers for Directory {
    async fn provider(&self, id: &ProviderId) -> Result<Arc<dyn Provider>> {
        if *id == OWN {
            return Ok(Arc::new(Own));
        }
        self.0.connect(capsule_providers::find(id.as_str())?).await
    }
}

/// How much faster the sandbox works, `$CAPSULE_SANDBOX_SPEED` first.
fn sandbox_speed() -> u32 {
    let set = std::env::var("CAPSULE_SANDBOX_SPEED").ok().and_then(|text| text.trim().parse().ok());
    set.filter(|speed| (1..=10_000).contains(speed)).unwrap_or(SANDBOX_SPEED)
}

fn sandbox_options() -> capsule_sim::Options {
    capsule_sim::Options { speed: sandbox_speed(), ..Default::default() }
}

/// The simulator's own keys, whatever the user has set.
fn sandbox_settings(descriptor: &Descriptor) -> Settings {
    let values = capsule_sim::credentials(descriptor.id.as_str())
        .into_iter()
        .map(|(key, value)| (key.to_owned(), SettingValue { value: value.into(), source: "the sandbox".to_owned() }))
        .collect();
    // The simulator sells what a retired provider no longer does.
    Settings { values, force_retired: matches!(descriptor.lifecycle, Lifecycle::Retired { .. }), ..Settings::default() }
}

/// Development builds can be killed right after their n-th journal event, for the crash tests.
#[cfg(debug_assertions)]
fn crash_hook() -> Option<Arc<dyn Fn(u64) + Send + Sync>> {
    let nth: u64 = std::env::var("CAPSULE_DIE_AFTER_EVENT").ok()?.parse().ok()?;
    Some(Arc::new(move |event| {
        if event == nth {
            // The shell's own `kill` is there on every machine.
            let line = format!("kill -9 {}", std::process::id());
            let _ = std::process::Command::new("sh").args(["-c", &line]).status();
        }
    }))
}

#[cfg(not(debug_assertions))]
fn crash_hook() -> Option<Arc<dyn Fn(u64) + Send + Sync>> {
    None
}
