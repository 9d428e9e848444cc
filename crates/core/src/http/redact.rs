//! What may be shown of a URL, of an unreadable answer and of a vendor's sentence.

use url::Url;

/// The URL without user, password, query and fragment: those can hold secrets.
pub fn url(url: &Url) -> String {
    let mut url = url.clone();
    // Refused only for URLs that cannot have them, which are shown as they stand.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    url.to_string()
}

/// The same for text that may not be a URL at all: whatever stands before an `@` or after a `?` is left out.
pub fn url_text(text: &str) -> String {
    match Url::parse(text) {
        Ok(parsed) if parsed.has_host() => url(&parsed),
        _ => {
            let head = text.split(['?', '#']).next().unwrap_or_default();
            head.rsplit('@').next().unwrap_or_default().chars().take(200).collect()
        }
    }
}

/// What is wrong with a JSON text, and where, without the value that serde quotes: values are the vendor's body.
pub fn json_fault(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!("line {} column {}", error.line(), error.column());
    if !error.is_data() || text.starts_with("missing field") || text.starts_with("duplicate field") {
        return text;
    }
    // "invalid type: string "...", expected u64 at line 1 column 9": both ends are serde's words, the middle is not.
    let fault =
        if text.starts_with("invalid") { text.split(':').next().unwrap_or_default() } else { "unexpected value" };
    match text.rsplit_once(", expected ") {
        Some((_, expected)) => format!("{fault}, expected {expected}"),
        None => format!("{fault} at {place}"),
    }
}

/// A vendor's sentence made fit for one line of a terminal: no control characters, no full stop, not endless.
pub fn sentence(text: &str) -> String {
    const LONGEST: usize = 400;
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let text = text.trim().trim_end_matches('.');
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_in_urls_are_left_out() {
        assert_eq!(url_text("https://user:secret@host/path?token=secret#x"), "https://host/path");
        assert_eq!(url_text("user:secret@host?token=secret"), "host");
    }

    #[test]
    fn unreadable_json_is_described_without_its_values() {
        #[derive(Debug, serde::Deserialize)]
        #[allow(dead_code, reason = "only its shape counts")]
        struct Shape {
            id: u64,
            kind: Kind,
        }
        #[derive(Debug, serde::Deserialize)]
        #[serde(rename_all = "lowercase")]
        enum Kind {
            A,
        }
        for (body, says) in [
            (r#"{"id": "s3cret, expected s3cret", "kind": "a"}"#, "invalid type, expected u64 at line 1 column"),
            (r#"{"id": -31337, "kind": "a"}"#, "invalid value, expected u64 at line 1 column"),
            (r#"{"id": 1, "kind": "s3cret"}"#, "unexpected value, expected `a` at line 1 column"),
            (r#"{"id": 1}"#, "missing field `kind` at line 1 column 9"),
            (r#"{"id": 1, "#, "EOF while parsing"),
            ("<html>s3cret", "expected value at line 1 column 1"),
        ] {
            let shown = json_fault(&serde_json::from_str::<Shape>(body).unwrap_err());
            assert!(shown.contains(says), "{body}: {shown}");
            assert!(!shown.contains("s3cret") && !shown.contains("31337"), "{shown}");
        }
    }

    #[test]
    fn a_vendors_sentence_cannot_drive_the_terminal() {
        assert_eq!(sentence(" No\u{1b}[31m such\nplan. "), "No [31m such plan");
        assert_eq!(sentence(&"x".repeat(5000)).chars().count(), 401);
    }
}
