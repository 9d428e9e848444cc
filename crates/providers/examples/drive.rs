//! Drives one provider's driver from the outside, for referees that are not written in Rust (`tests/referees`).
//!
//! The first line on standard input says whom to connect to; each further line is one call of the
//! [`Provider`] trait and is answered by one line on standard output, `{"ok": ...}` or `{"error": ...}`:
//!
//! ```json
//! {"provider": "digitalocean", "endpoint": "http://127.0.0.1:4010/v2", "settings": {"api_key": "k"}}
//! {"call": "verify"}
//! {"call": "list", "scope": {"owner": "0123456789abcdef"}}
//! {"call": "power", "id": "digitalocean/nyc1/42", "to": "off"}
//! ```

use std::collections::BTreeMap;
use std::io::{BufRead, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use capsule_core::http::{HttpTransport, Ledgers, parse_base};
use capsule_core::{
    Clock, Connect, Error, ErrorKind, InstanceId, Order, OwnerId, Power, Provider, Result, Scope, SettingValue,
    Settings, SystemClock, Token,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Whom to drive.
#[derive(Deserialize)]
struct Target {
    provider: String,
    endpoint: String,
    #[serde(default)]
    settings: BTreeMap<String, String>,
    #[serde(default)]
    regions: Vec<String>,
}

/// One call of the trait.
#[derive(Deserialize)]
#[serde(tag = "call", rename_all = "snake_case")]
enum Call {
    Capabilities,
    Verify,
    Catalog,
    Create {
        order: Box<Order>,
    },
    Get {
        id: InstanceId,
    },
    List {
        scope: Which,
    },
    Power {
        id: InstanceId,
        to: Power,
    },
    Delete {
        id: InstanceId,
    },
    Leftovers {
        owner: OwnerId,
    },
    RemoveLeftovers {
        owner: OwnerId,
    },
    Statement,
    /// What was invoiced for a month, given by its first day.
    Invoiced {
        month: jiff::civil::Date,
    },
    StartFromOwnDisk {
        id: InstanceId,
    },
    Mark {
        id: InstanceId,
        owner: OwnerId,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Which {
    All,
    Owner(OwnerId),
    Token(Token),
}

/// Real time, but waiting costs nothing: a referee that answers from examples never finishes what a driver polls for.
#[derive(Debug, Default)]
struct HastyClock {
    skipped_ms: AtomicU64,
}

#[async_trait::async_trait]
impl Clock for HastyClock {
    fn now(&self) -> jiff::Timestamp {
        SystemClock.now() + Duration::from_millis(self.skipped_ms.load(Ordering::Relaxed))
    }

    async fn sleep(&self, duration: Duration) {
        self.skipped_ms.fetch_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
        tokio::task::yield_now().await;
    }

    /// Time limits run in real time: what another task skips must not end a request that is under way.
    async fn until(&self, at: jiff::Timestamp) {
        let left = Duration::try_from(at.duration_since(self.now())).unwrap_or_default();
        SystemClock.sleep(left).await;
    }
}

async fn connect(line: &str) -> Result<Arc<dyn Provider>> {
    let target: Target = parse("the target", line)?;
    let values = target
        .settings
        .into_iter()
        .map(|(key, value)| (key, SettingValue { value: value.into(), source: "standard input".to_owned() }));
    let settings = Settings {
        values: values.collect(),
        endpoint: Some(parse_base("endpoint", &target.endpoint)?),
        regions: target.regions,
        limit: None,
        lean: false,
        force_retired: true,
    };
    let (transport, clock) = (Arc::new(HttpTransport::new()), Arc::new(HastyClock::default()));
    let connect = Connect { settings, transport, clock, ledgers: Ledgers::default() };
    (capsule_providers::find(&target.provider)?.connect)(connect).await
}

async fn answer(provider: &dyn Provider, line: &str) -> Result<Value> {
    match parse("the call", line)? {
        Call::Capabilities => shown(provider.capabilities()),
        Call::Verify => shown(&provider.verify().await?),
        Call::Catalog => shown(&provider.catalog().await?),
        Call::Create { order } => shown(&provider.create(&order).await?),
        Call::Get { id } => shown(&provider.get(&id).await?),
        Call::List { scope } => shown(&provider.list(&scope.into()).await?),
        Call::Power { id, to } => shown(&provider.power(&id, to).await?),
        Call::Delete { id } => shown(&provider.delete(&id).await?),
        Call::Leftovers { owner } => match provider.leftovers() {
            Some(leftovers) => shown(&leftovers.leftovers(&owner).await?),
            None => Ok(Value::Null),
        },
        Call::RemoveLeftovers { owner } => match provider.leftovers() {
            Some(leftovers) => {
                let found = leftovers.leftovers(&owner).await?;
                for leftover in &found {
                    leftovers.remove(leftover).await?;
                }
                shown(&found)
            }
            None => Ok(Value::Null),
        },
        Call::Statement => match provider.statements() {
            Some(statements) => shown(&statements.statement().await?),
            None => Ok(Value::Null),
        },
        Call::Invoiced { month } => match provider.statements() {
            Some(statements) => shown(&statements.invoiced(month).await?),
            None => Ok(Value::Null),
        },
        Call::StartFromOwnDisk { id } => match provider.own_loader() {
            Some(loader) => shown(&loader.start_from_own_disk(&id).await?),
            None => Err(Error::new(ErrorKind::Unsupported, "Its servers do so from birth.")),
        },
        Call::Mark { id, owner } => match provider.marking() {
            Some(marking) => shown(&marking.mark(&id, &owner).await?),
            None => Err(Error::new(ErrorKind::Unsupported, "Its servers have no tags.")),
        },
    }
}

impl From<Which> for Scope {
    fn from(which: Which) -> Self {
        match which {
            Which::All => Scope::All,
            Which::Owner(owner) => Scope::Owner(owner),
            Which::Token(token) => Scope::Token(token),
        }
    }
}

fn parse<'de, T: Deserialize<'de>>(what: &str, line: &'de str) -> Result<T> {
    serde_json::from_str(line)
        .map_err(|error| Error::new(ErrorKind::Invalid, format!("The line is not {what}: {error}.")))
}

fn shown(value: &impl Serialize) -> Result<Value> {
    serde_json::to_value(value)
        .map_err(|error| Error::new(ErrorKind::Protocol, format!("The answer cannot be shown: {error}.")))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let mut lines = std::io::stdin().lock().lines();
    let mut out = std::io::stdout().lock();
    let mut say = |result: Result<Value>| {
        let line = match result {
            Ok(value) => json!({ "ok": value }),
            Err(error) => json!({ "error": error }),
        };
        writeln!(out, "{line}")?;
        out.flush()
    };
    let Some(first) = lines.next() else { return Ok(()) };
    let provider = match connect(&first?).await {
        Ok(provider) => provider,
        Err(error) => return say(Err(error)),
    };
    say(Ok(json!(provider.descriptor().id)))?;
    for line in lines {
        say(answer(provider.as_ref(), &line?).await)?;
    }
    Ok(())
}
