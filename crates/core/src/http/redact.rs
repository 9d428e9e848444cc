//! What of a URL may be shown.

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_in_urls_are_left_out() {
        assert_eq!(url_text("https://user:secret@host/path?token=secret#x"), "https://host/path");
        assert_eq!(url_text("user:secret@host?token=secret"), "host");
    }
}
