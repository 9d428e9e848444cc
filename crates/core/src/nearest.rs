//! What somebody probably meant.

/// The nearest of `known` as a question, or all of them when none is near: the hint of an error about a wrong name.
pub fn hint<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    /// More names than this are no help.
    const SHOWN: usize = 12;
    let known: Vec<&str> = known.into_iter().collect();
    let given = given.to_lowercase();
    let near = known
        .iter()
        .map(|name| (strsim::jaro_winkler(&given, &name.to_lowercase()), *name))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match near {
        Some((_, name)) => format!("Did you mean `{name}`?"),
        None if known.is_empty() => "There are none.".to_owned(),
        None if known.len() > SHOWN => format!("There are {}, among them {}.", known.len(), known[..SHOWN].join(", ")),
        None => format!("There are {}.", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_offered() {
        assert_eq!(hint("digitalocan", ["vultr", "digitalocean"]), "Did you mean `digitalocean`?");
        assert_eq!(hint("zzz", ["vultr", "aws"]), "There are vultr, aws.");
    }
}
