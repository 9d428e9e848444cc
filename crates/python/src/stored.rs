//! Keys in `providers.yml`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use capsule::settings::{ConfigFile, Home};
use capsule_core::Error;
use pyo3::prelude::*;

use crate::failure::raised;

/// The `api_key` of each provider that has one there; a missing file has none.
#[pyfunction]
pub(crate) fn stored_keys(py: Python<'_>, config: PathBuf) -> PyResult<BTreeMap<String, String>> {
    let read = || {
        let file = ConfigFile::read(config, false)?;
        let mut keys = BTreeMap::new();
        for entry in capsule_providers::all() {
            let provider = entry.descriptor.id.as_str();
            if let Some(key) = file.value(provider, "api_key")? {
                keys.insert(provider.to_owned(), key);
            }
        }
        Ok::<_, Error>(keys)
    };
    read().map_err(|error| raised(py, &error))
}

/// Keeps a provider's key there, readable by its owner alone; what else is there stays.
#[pyfunction]
pub(crate) fn store_key(py: Python<'_>, config: PathBuf, provider: &str, key: String) -> PyResult<()> {
    let store = || {
        if let Some(folder) = config.parent().filter(|folder| *folder != Path::new("") && !folder.exists()) {
            Home::locate(Some(folder))?.create()?;
        }
        ConfigFile::read(config, false)?.save(provider, &[("api_key".to_owned(), key.into())])
    };
    store().map_err(|error| raised(py, &error))
}
