//! Our errors as Python's.

use capsule_core::{Effect, Error};
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// The exception of `capsule_package.api_clients` that our error is. Which kind is which class stands there.
pub(crate) fn raised(py: Python<'_>, error: &Error) -> PyErr {
    exception(py, error).unwrap_or_else(|broken| broken)
}

fn exception(py: Python<'_>, error: &Error) -> PyResult<PyErr> {
    let response = PyDict::new(py);
    response.set_item("kind", error.kind().to_string())?;
    response.set_item("provider", error.provider().map(|id| id.as_str()))?;
    response.set_item("operation", error.operation())?;
    response.set_item("code", error.native_code())?;
    response.set_item("request_id", error.request_id())?;
    response.set_item("attempts", error.attempts())?;
    response.set_item("hint", error.hint())?;
    response.set_item("may_have_happened", error.effect() == Effect::Unknown)?;
    let made = py.import("capsule_package.api_clients")?.getattr("_error")?.call1((
        error.kind().to_string(),
        error.message(),
        error.http_status(),
        response,
    ))?;
    Ok(PyErr::from_value(made))
}
