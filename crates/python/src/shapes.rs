//! The dicts that Python code knows. Money becomes a float here and nowhere before.

use std::collections::HashMap;

use capsule_core::Instance;
use capsule_engine::Outcome;
use capsule_providers::templates::{REGIONS, all};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};

/// The older names for plans with all that was said of them, and the regions of then by provider.
#[pyfunction]
pub(crate) fn templates(py: Python<'_>) -> PyResult<(Bound<'_, PyList>, Bound<'_, PyDict>)> {
    let number = |text: &str| text.parse::<f64>().expect("the table holds decimals, and a test reads it");
    let list = PyList::empty(py);
    for template in all() {
        let row = PyDict::new(py);
        row.set_item("id", template.id)?;
        row.set_item("name", template.name)?;
        row.set_item("provider", template.provider.as_str())?;
        row.set_item("cpu", template.cpu)?;
        row.set_item("memory_gb", template.memory_gb)?;
        row.set_item("storage_gb", template.storage_gb)?;
        row.set_item("bandwidth_tb", number(template.bandwidth_tb))?;
        row.set_item("price_hourly", number(template.price_hourly))?;
        row.set_item("price_monthly", number(template.price_monthly))?;
        row.set_item("gpu", template.gpu)?;
        row.set_item("regions", &template.regions)?;
        row.set_item("features", &template.features)?;
        list.append(row)?;
    }
    let regions = PyDict::new(py);
    for (provider, names) in REGIONS {
        regions.set_item(provider, PyList::new(py, *names)?)?;
    }
    Ok((list, regions))
}

/// Python's strings for the words that many servers share: each is made once.
struct Words<'py, 'a> {
    py: Python<'py>,
    made: HashMap<&'a str, Bound<'py, PyString>>,
}

impl<'py, 'a> Words<'py, 'a> {
    fn new(py: Python<'py>) -> Self {
        Words { py, made: HashMap::new() }
    }

    fn get(&mut self, word: &'a str) -> &Bound<'py, PyString> {
        self.made.entry(word).or_insert_with(|| PyString::new(self.py, word))
    }
}

/// The keys that every server has, and ours beside them.
fn server<'py, 'a>(row: &Bound<'py, PyDict>, instance: &'a Instance, words: &mut Words<'py, 'a>) -> PyResult<()> {
    let py = row.py();
    row.set_item(intern!(py, "id"), instance.id.native.as_str())?;
    row.set_item(intern!(py, "name"), instance.name.as_str())?;
    row.set_item(intern!(py, "provider"), words.get(instance.id.provider.as_str()))?;
    // Where a driver joins several of the vendor's words, the first is what the vendor calls the status.
    let native = instance.native_status.as_str();
    row.set_item(intern!(py, "status"), words.get(native.split('/').next().unwrap_or(native)))?;
    row.set_item(intern!(py, "native_status"), words.get(native))?;
    let ip = instance.addresses.primary().map(|ip| ip.to_string()).unwrap_or_default();
    row.set_item(intern!(py, "ip_address"), ip)?;
    row.set_item(intern!(py, "region"), words.get(instance.id.region.as_str()))?;
    let created = instance.created_at.map(|at| at.to_string()).unwrap_or_default();
    row.set_item(intern!(py, "created_at"), created)?;
    row.set_item(intern!(py, "normalized_status"), words.get(instance.status.as_str()))?;
    row.set_item(intern!(py, "capsule_id"), instance.id.to_string())
}

/// What a list says of its servers: their `metadata` is short.
pub(crate) fn listed<'py>(py: Python<'py>, found: &[Instance]) -> PyResult<Bound<'py, PyList>> {
    let list = PyList::empty(py);
    let mut words = Words::new(py);
    // A copy has room for all keys at once; each value is set anew.
    let (mut row, mut metadata) = (PyDict::new(py), PyDict::new(py));
    for instance in found {
        (row, metadata) = (row.copy()?, metadata.copy()?);
        server(&row, instance, &mut words)?;
        metadata.set_item(intern!(py, "plan"), words.get(&instance.plan))?;
        metadata.set_item(intern!(py, "image"), instance.image.as_deref().map(|image| words.get(image)))?;
        let tags = PyDict::new(py);
        for (key, value) in instance.tags.iter() {
            let key = words.get(key).clone();
            tags.set_item(key, words.get(value))?;
        }
        metadata.set_item(intern!(py, "tags"), tags)?;
        row.set_item(intern!(py, "metadata"), &metadata)?;
        list.append(&row)?;
    }
    Ok(list)
}

/// One server with the vendor's whole body.
pub(crate) fn whole<'py>(py: Python<'py>, instance: &Instance) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    server(&dict, instance, &mut Words::new(py))?;
    dict.set_item("metadata", py.import("json")?.call_method1("loads", (instance.metadata.get(),))?)?;
    Ok(dict)
}

/// What a deploy made.
pub(crate) fn deployed<'py>(py: Python<'py>, outcome: &Outcome) -> PyResult<Bound<'py, PyDict>> {
    let dict = match &outcome.instance {
        Some(instance) => whole(py, instance)?,
        None => PyDict::new(py),
    };
    if outcome.instance.is_none()
        && let (Some(id), Some(record)) = (&outcome.id, &outcome.record)
    {
        // Another run of the same deploy saw it last.
        dict.set_item("id", &id.native)?;
        dict.set_item("name", &record.name)?;
        dict.set_item("provider", id.provider.as_str())?;
        dict.set_item("status", record.status.as_str())?;
        dict.set_item("ip_address", record.addresses.primary().map(|ip| ip.to_string()).unwrap_or_default())?;
        dict.set_item("region", &id.region)?;
        dict.set_item("created_at", record.created_at.to_string())?;
        dict.set_item("normalized_status", record.status.as_str())?;
        dict.set_item("capsule_id", id.to_string())?;
        dict.set_item("metadata", PyDict::new(py))?;
    }
    let quoted = outcome.placement.as_ref().and_then(|placement| placement.price.as_ref());
    let price = quoted.or(outcome.record.as_ref().and_then(|record| record.price.as_ref()));
    let hourly = price.and_then(|price| price.hourly().ok());
    dict.set_item("cost_hourly", hourly.map(|money| float(&money)))?;
    dict.set_item("currency", hourly.map(|money| money.currency().to_string()))?;
    dict.set_item("operation", outcome.operation.as_str())?;
    Ok(dict)
}

/// The nearest float to an amount.
pub(crate) fn float(money: &capsule_core::Money) -> f64 {
    money.amount().to_string().parse().unwrap_or(f64::NAN)
}
