//! What the `Provider` trait promises, tried at every provider and every target.
//!
//! A trial is called `PROVIDER/TARGET/BULLET`; the bullets are those under *Behavior* in the trait's documentation. What
//! a target cannot do is an exception in `targets.rs` with its reason: it is printed and counted, never passed over.

mod bullets;
mod ground;
mod promised;
mod targets;

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Failed, Trial};

use self::bullets::BULLETS;
use self::targets::{Target, targets};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let targets = targets();
    let mut trials = vec![
        Trial::test("every_bullet_of_the_trait_is_a_trial", promised::every_bullet_is_a_trial),
        Trial::test("every_provider_has_a_target", every_provider_has_a_target),
        Trial::test("every_kind_has_a_target", every_kind_has_a_target),
    ];
    let mut exceptions = 0;
    for target in &targets {
        for (bullet, attempt) in BULLETS {
            let name = format!("{}/{}/{bullet}", target.provider(), target.name());
            let exception = target.except().iter().find(|(except, _)| except == bullet);
            if let Some((_, why)) = exception {
                exceptions += 1;
                tell(&arguments, &format!("not tried: {name}: {why}"));
            }
            let target = target.clone();
            let trial = Trial::test(name, move || ground::attempt(&*target, *attempt));
            trials.push(trial.with_ignored_flag(exception.is_some()));
        }
    }
    let count = targets.len() * BULLETS.len();
    let summary = format!(
        "{} bullets at {} targets: {count} trials, {exceptions} of them excepted",
        BULLETS.len(),
        targets.len()
    );
    tell(&arguments, &summary);
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// To the person at the terminal; a tool that asks for a list gets the list alone.
#[allow(clippy::print_stderr, reason = "a test binary speaks to its user")]
fn tell(arguments: &Arguments, text: &str) {
    if !arguments.list {
        eprintln!("{text}");
    }
}

fn every_provider_has_a_target() -> Result<(), Failed> {
    let targets: Vec<Arc<dyn Target>> = targets();
    for entry in capsule_providers::all() {
        let id = entry.descriptor.id.as_str();
        if !targets.iter().any(|target| target.provider() == id) {
            return Err(format!("{id} has no dialect in the simulator").into());
        }
    }
    Ok(())
}

/// Who sells virtual machines and bare metal shows every bullet with both.
fn every_kind_has_a_target() -> Result<(), Failed> {
    let targets = targets();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for target in &targets {
        let sold = runtime.block_on(target.ground())?.provider.capabilities().kinds;
        let tried = |kind| targets.iter().any(|other| other.provider() == target.provider() && other.kind() == kind);
        if let Some(kind) = sold.iter().find(|kind| !tried(**kind)) {
            return Err(format!(
                "{} sells {kind:?}, and its dialect does not say how that is listed",
                target.provider()
            )
            .into());
        }
    }
    Ok(())
}
