//! The facade as an object.

use std::path::PathBuf;

use capsule::cli::{Format, Global};
use capsule::commands::deploy::{Deploy, WaitFor};
use capsule::facade::Facade;
use capsule::output;
use capsule_core::{Power, Result};
use capsule_engine::{Silent, Wait};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::failure::raised;
use crate::runtime::{block, wind_up};
use crate::shapes;

/// One set of settings with the journal beside it; any number of threads may use it at once.
#[pyclass(frozen)]
pub(crate) struct Core {
    pub(crate) facade: Facade,
}

#[pymethods]
impl Core {
    #[new]
    #[pyo3(signature = (*, home, config, keys, sandbox))]
    fn new(
        py: Python<'_>,
        home: PathBuf,
        config: Option<PathBuf>,
        keys: Vec<(String, String)>,
        sandbox: bool,
    ) -> PyResult<Self> {
        output::take_notes(log);
        let global = Global { sandbox, output: Format::Json, config, home: Some(home), database: None, verbose: 0 };
        let keys: Vec<_> = keys.into_iter().map(|(provider, key)| (provider, key.into())).collect();
        let facade = py.detach(|| Facade::open(global, &keys)).map_err(|error| raised(py, &error))?;
        Ok(Core { facade })
    }

    fn is_configured(&self, py: Python<'_>, provider: &str) -> PyResult<bool> {
        self.facade.is_configured(provider).map_err(|error| raised(py, &error))
    }

    /// Whose key it is.
    fn verify(&self, py: Python<'_>, provider: &str) -> PyResult<String> {
        Ok(self.run(py, self.facade.verify(provider))?.id)
    }

    fn list<'py>(&self, py: Python<'py>, provider: &str) -> PyResult<Bound<'py, PyList>> {
        let found = self.run(py, self.facade.list(provider))?;
        let list = shapes::listed(py, &found)?;
        // Ten thousand of them are not freed with the GIL held.
        py.detach(|| drop(found));
        Ok(list)
    }

    fn get<'py>(&self, py: Python<'py>, provider: &str, id: &str) -> PyResult<Bound<'py, PyDict>> {
        shapes::whole(py, &self.run(py, self.facade.get(provider, id))?)
    }

    fn power(&self, py: Python<'_>, provider: &str, id: &str, on: bool, unmanaged: bool) -> PyResult<()> {
        let to = if on { Power::On } else { Power::Off };
        self.run(py, self.facade.power(provider, id, to, Wait::Running, unmanaged)).map(drop)
    }

    fn delete(&self, py: Python<'_>, provider: &str, id: &str, unmanaged: bool) -> PyResult<()> {
        self.run(py, self.facade.delete(provider, id, unmanaged)).map(drop)
    }

    #[pyo3(signature = (provider, *, name, plan, region, image, ssh_keys, tags, wait, timeout, idempotency_key, max_hourly, force, owner, domain, acme_email))]
    #[expect(clippy::too_many_arguments, reason = "Python calls it with keywords")]
    fn deploy<'py>(
        &self,
        py: Python<'py>,
        provider: String,
        name: String,
        plan: String,
        region: String,
        image: Option<String>,
        ssh_keys: Vec<String>,
        tags: Vec<String>,
        wait: &str,
        timeout: Option<u64>,
        idempotency_key: Option<String>,
        max_hourly: Option<String>,
        force: bool,
        owner: Option<String>,
        domain: Option<String>,
        acme_email: Option<String>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let mut args = Deploy::named(name);
        args.wanted.provider = vec![provider];
        args.wanted.plan = Some(plan);
        args.wanted.region = Some(region);
        args.image_id = image;
        args.ssh_key = ssh_keys;
        args.tag = tags;
        args.wait = Some(match wait {
            "none" => WaitFor::None,
            "running" => WaitFor::Running,
            "ready" => WaitFor::Ready,
            other => {
                let message = format!("config['wait'] is none, running or ready, not `{other}`.");
                return Err(PyValueError::new_err(message));
            }
        });
        args.timeout = timeout.map(std::time::Duration::from_secs);
        args.idempotency_key = idempotency_key;
        args.wanted.max_hourly = max_hourly
            .map(|text| capsule_core::Money::parse(&text, capsule_core::Currency::USD))
            .transpose()
            .map_err(|error| PyValueError::new_err(format!("config['max_hourly']: {error}.")))?;
        args.force = force;
        args.xnode.owner = owner;
        args.xnode.domain = domain;
        args.xnode.acme_email = acme_email;
        let outcome = self.run(py, self.facade.deploy(args, &Silent))?;
        shapes::deployed(py, &outcome)
    }

    /// Plan, region, USD or other currency, and what an hour and a month cost.
    #[pyo3(signature = (template, region=None))]
    fn quote(
        &self,
        py: Python<'_>,
        template: &str,
        region: Option<&str>,
    ) -> PyResult<(String, String, String, f64, f64)> {
        let quote = self.run(py, self.facade.quote(template, region))?;
        let (Ok(hourly), Ok(monthly)) = (quote.price.hourly(), quote.price.monthly()) else {
            return Err(PyValueError::new_err("The price cannot be reckoned for an hour or a month."));
        };
        let currency = hourly.currency().to_string();
        Ok((quote.plan, quote.region, currency, shapes::float(&hourly), shapes::float(&monthly)))
    }
}

impl Core {
    /// What the facade gives, or its error raised.
    fn run<T: Send>(&self, py: Python<'_>, work: impl Future<Output = Result<T>> + Send) -> PyResult<T> {
        match block(py, work) {
            Ok(done) => done.map_err(|error| raised(py, &error)),
            Err(interrupted) => {
                // If that fails or takes long, the leases run out by themselves.
                for operation in wind_up(py, self.facade.let_go_of_dropped()).and_then(Result::ok).unwrap_or_default() {
                    log(format!("warning: Interrupted. `capsule resume {operation}` goes on."));
                }
                Err(interrupted)
            }
        }
    }
}

/// A note for the program's own log, under `capsule_package`.
fn log(line: String) {
    Python::attach(|py| {
        let logger = py.import("logging").and_then(|logging| logging.call_method1("getLogger", ("capsule_package",)));
        // A logger that fails is no reason to fail.
        let _ = logger.and_then(|logger| {
            let level = if line.starts_with("warning: ") { "warning" } else { "info" };
            logger.call_method1(level, ("%s", line.trim_start_matches("warning: ")))
        });
    });
}
