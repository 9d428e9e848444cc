//! The promises as they stand in the trait's own documentation.

use std::collections::BTreeSet;

use libtest_mimic::Failed;

use crate::bullets::BULLETS;

const TRAIT: &str = include_str!("../../../core/src/provider.rs");

/// The names of all bullets in the trait's documentation.
///
/// A line names its bullets before the colon, in backticks; `..._region` after `create_refuses_an_unknown_plan` stands
/// for the same name with another last word.
fn promised() -> BTreeSet<String> {
    let mut names: BTreeSet<String> = BTreeSet::new();
    let mut inside = false;
    for line in TRAIT.lines().map(str::trim) {
        match line.strip_prefix("///").map(str::trim) {
            Some("# Behavior") => inside = true,
            Some(text) if inside && text.starts_with("- ") => {
                let mut last = String::new();
                for word in text.split(':').next().unwrap_or_default().split('`').skip(1).step_by(2) {
                    let name = match (word.strip_prefix("..."), last.rsplit_once('_')) {
                        (Some(ending), Some((stem, _))) => format!("{stem}{ending}"),
                        _ => word.to_owned(),
                    };
                    names.insert(name.clone());
                    last = name;
                }
            }
            Some(_) => {}
            None => inside = false,
        }
    }
    names
}

pub(crate) fn every_bullet_is_a_trial() -> Result<(), Failed> {
    let tried: BTreeSet<String> = BULLETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let promised = promised();
    if promised.len() < 20 {
        return Err(format!("only {} bullets were read from the trait: {promised:?}", promised.len()).into());
    }
    if tried != promised {
        let untried: Vec<_> = promised.difference(&tried).collect();
        let unpromised: Vec<_> = tried.difference(&promised).collect();
        return Err(format!("promised but not tried: {untried:?}; tried but not promised: {unpromised:?}").into());
    }
    Ok(())
}
