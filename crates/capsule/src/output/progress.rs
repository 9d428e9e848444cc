//! What is happening meanwhile: one moving line on a terminal, plain lines elsewhere.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use capsule_core::Clock;
use capsule_engine::{Observer, Stage, Update};
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;

/// Shows the engine's updates on stderr.
pub struct Progress {
    bar: Option<ProgressBar>,
    started: Timestamp,
    clock: Arc<dyn Clock>,
    servers: Mutex<BTreeMap<String, (Stage, String)>>,
}

impl Progress {
    /// Starts to count the time.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let bar = super::stderr_is_terminal().then(|| {
            let bar = ProgressBar::new_spinner();
            bar.set_style(
                ProgressStyle::with_template("{spinner} {wide_msg} {elapsed}").expect("the template is well-formed"),
            );
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Progress { bar, started: clock.now(), clock, servers: Mutex::default() }
    }

    /// Removes the moving line.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Observer for Progress {
    fn on(&self, update: &Update) {
        let mut servers = self.servers.lock().expect("no panic happens under this lock");
        let now = (update.stage, update.message.clone());
        if servers.get(&update.name) == Some(&now) {
            return;
        }
        servers.insert(update.name.clone(), now);
        match &self.bar {
            Some(bar) => bar.set_message(summary(&servers)),
            None => {
                let elapsed = super::duration(self.clock.now().duration_since(self.started));
                super::note(format!("{}: {}: {} [{elapsed}]", update.name, update.stage, update.message));
            }
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

/// One server in full, several by stage.
fn summary(servers: &BTreeMap<String, (Stage, String)>) -> String {
    if let (1, Some((name, (stage, message)))) = (servers.len(), servers.first_key_value()) {
        return format!("{name}: {stage}: {message}");
    }
    let mut stages: BTreeMap<&str, usize> = BTreeMap::new();
    for (stage, _) in servers.values() {
        *stages.entry(stage.as_str()).or_default() += 1;
    }
    let parts: Vec<String> = stages.iter().map(|(stage, count)| format!("{count} {stage}")).collect();
    format!("{} servers: {}", servers.len(), parts.join(", "))
}
