//! `capsule_package._native`: what the Python package asks the facade for.

mod client;
mod core;
mod failure;
mod runtime;
mod shapes;
mod stored;

use pyo3::prelude::*;

/// The part of `capsule_package` that does the work. The Python modules beside it give it the shapes that users know.
#[pymodule]
mod _native {
    use std::ffi::OsString;

    use super::*;

    #[pymodule_export]
    #[allow(non_upper_case_globals)]
    const __version__: &str = env!("CARGO_PKG_VERSION");

    #[pymodule_export]
    use crate::client::Client;
    #[pymodule_export]
    use crate::core::Core;
    #[pymodule_export]
    use crate::runtime::Stop;
    #[pymodule_export]
    use crate::shapes::templates;
    #[pymodule_export]
    use crate::stored::{store_key, stored_keys};

    /// Runs one command line of the program `capsule`, whose first word is the program's name, and gives its exit code.
    #[pyfunction]
    fn main(py: Python<'_>, args: Vec<OsString>) -> u8 {
        py.detach(|| capsule::run(args))
    }
}
