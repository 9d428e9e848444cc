//! How a text survives the way to an xNode: which characters it may hold, and how those are written that would mean
//! something on the way.
//!
//! The way is: YAML (cloud-init), a POSIX shell (`runcmd`), the environment of the installer, a file of the form
//! `export NAME="..."` that the installer writes without escaping and a second shell reads, and, for INITIAL_CONFIG, the
//! replacement text of sed's `c` command. A text that breaks there ends in a node that never comes up, after its disks
//! were wiped; so what cannot be carried is refused here.

/// How far a value travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Into a file of its own, through the installer's `export NAME="..."`. Nothing is escaped for it, since older
    /// installers lack that step, so what means something there is refused.
    Setting,
    /// As [`Way::Setting`], and on through sed. It exists since that step does, so [`nix_word`] escapes for both.
    Nix,
}

/// What cannot be carried, and why not.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Uncarried {
    /// The character or word, fit for a terminal.
    pub(crate) what: String,
    /// Where it stands, from 1.
    pub(crate) line: usize,
    /// A clause for the user.
    pub(crate) why: &'static str,
}

/// The first thing in `text` that would not arrive as it is.
pub(crate) fn uncarried(text: &str, way: Way) -> Option<Uncarried> {
    for (line, content) in (1..).zip(text.split('\n')) {
        for c in content.chars() {
            let why = match c {
                '\t' if way == Way::Nix => continue,
                '"' | '`' | '$' | '\\' if way == Way::Setting => "the installer's shell would interpret it",
                // YAML refuses most of these; the two separators and U+0085 end a line in YAML alone.
                '\u{2028}' | '\u{2029}' => "control characters do not arrive",
                _ if c.is_control() => "control characters do not arrive",
                '\u{feff}' | '\u{fffe}' | '\u{ffff}' => "cloud-init does not take it",
                _ => continue,
            };
            return Some(Uncarried { what: format!("U+{:04X}", u32::from(c)), line, why });
        }
        // Wherever this stands in its first 4 KiB, cloud-init takes the whole text for a mail.
        if content.to_ascii_lowercase().contains("mime-version:") {
            let why = "cloud-init would read it as a header of its own";
            return Some(Uncarried { what: "`mime-version:`".to_owned(), line, why });
        }
    }
    let broken = way == Way::Setting && text.contains('\n');
    broken.then(|| Uncarried { what: "U+000A".to_owned(), line: 1, why: "control characters do not arrive" })
}

/// `text` as one word of a POSIX shell, whatever it holds.
pub(crate) fn shell_word(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Lines of Nix as one shell word that, after the installer's env file and sed step, are those lines again.
pub(crate) fn nix_word(nix: &str) -> String {
    // sed reads the newline from \n, a backslash from two.
    let for_sed = nix.replace('\\', r"\\").replace('\n', r"\n");
    // The env file holds it between double quotes, where four characters mean something.
    let mut for_env = String::with_capacity(for_sed.len());
    for c in for_sed.chars() {
        if matches!(c, '\\' | '"' | '$' | '`') {
            for_env.push('\\');
        }
        for_env.push(c);
    }
    shell_word(&for_env)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted() {
        assert_eq!(shell_word("v1.0.0"), "'v1.0.0'");
        assert_eq!(shell_word("it's $HOME"), r"'it'\''s $HOME'");
        assert_eq!(nix_word("a = \"b\";\nc = ''${d}\\'';"), r#"'a = \"b\";\\nc = '\'''\''\${d}\\\\'\'''\'';'"#);
    }

    #[test]
    fn what_cannot_be_carried_is_found() {
        let found = |text: &str, way| uncarried(text, way).map(|found| (found.what, found.line));
        for c in ['"', '`', '$', '\\', '\n', '\t', '\r', '\0', '\u{7f}', '\u{85}', '\u{2028}', '\u{feff}'] {
            let what = format!("U+{:04X}", u32::from(c));
            assert_eq!(found(&format!("a{c}b"), Way::Setting), Some((what, 1)), "{c:?}");
        }
        for c in ['\r', '\0', '\u{1b}', '\u{85}', '\u{2029}', '\u{ffff}'] {
            let what = format!("U+{:04X}", u32::from(c));
            assert_eq!(found(&format!("a\n{c}"), Way::Nix), Some((what, 2)), "{c:?}");
        }
        for way in [Way::Setting, Way::Nix] {
            assert_eq!(found("a: Mime-Version: 1.0", way), Some(("`mime-version:`".to_owned(), 1)));
        }
        assert_eq!(uncarried("a\n\t\"$`\\ ü 🦀 '\nMIME-Version", Way::Nix), None);
        assert_eq!(uncarried("pässword '#:{} 🦀", Way::Setting), None);
    }
}
