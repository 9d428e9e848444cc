//! What this process holds of the journal, and what of that it dropped in the middle.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::operation::OperationId;

/// Operations that were dropped while they were held. Nobody in this process works on them any more, but the journal says
/// that it does, for as long as the process renews its leases: they are to be given back.
#[derive(Debug, Clone, Default)]
pub(super) struct Dropped(Arc<Mutex<Vec<OperationId>>>);

impl Dropped {
    /// For an operation that is held from now on.
    pub(super) fn lease(&self, id: &OperationId) -> Lease {
        Lease { id: Some(id.clone()), dropped: self.clone() }
    }

    pub(super) fn all(&self) -> Vec<OperationId> {
        self.ids().clone()
    }

    pub(super) fn forget(&self, given_back: &[OperationId]) {
        self.ids().retain(|id| !given_back.contains(id));
    }

    fn ids(&self) -> MutexGuard<'_, Vec<OperationId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Notes that an operation was dropped, unless it was let go before.
#[derive(Debug)]
pub(super) struct Lease {
    id: Option<OperationId>,
    dropped: Dropped,
}

impl Lease {
    /// It was let go.
    pub(super) fn end(&mut self) {
        self.id = None;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(id) = self.id.take() {
            self.dropped.ids().push(id);
        }
    }
}
