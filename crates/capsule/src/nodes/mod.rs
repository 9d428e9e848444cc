//! What this installation knows of its xNodes beside the journal, and how it looks at them.

mod check;
mod goal;
mod logins;
mod pins;
mod watch;

pub use check::{Checked, Checker, Known, Node, address};
pub use goal::Goal;
pub use logins::Logins;
pub use pins::{Pinned, Pins};
pub use watch::Watch;
