//! Where requests go: base URLs that may carry a key, and the paths below them.

use url::Url;

use super::redact;
use crate::error::{Error, ErrorKind, Result};

/// Refuses base URLs that would send the key in clear across a network.
///
/// # Errors
/// [`ErrorKind::Config`].
pub fn check_base(base: &Url) -> Result<()> {
    let bad = |why: &str, hint: &str| {
        Err(Error::new(ErrorKind::Config, format!("The endpoint {} {why}.", redact::url(base))).with_hint(hint))
    };
    let loopback = match base.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => return bad("has no host", "Write it like https://api.example.com/v2."),
    };
    match base.scheme() {
        _ if !base.username().is_empty() || base.password().is_some() => {
            bad("holds a user name or password", "Leave them out; keys have their own setting.")
        }
        _ if base.query().is_some() || base.fragment().is_some() => {
            bad("holds a query or fragment", "Write scheme, host and version path only.")
        }
        "https" => Ok(()),
        "http" if loopback => Ok(()),
        "http" => bad(
            "is plain http, and your key would cross the network in clear",
            "Use https://, or an address of this machine such as http://127.0.0.1:8080.",
        ),
        _ => bad("is neither https nor http", "Write it like https://api.example.com/v2."),
    }
}

/// Reads and checks a base URL.
///
/// # Errors
/// [`ErrorKind::Config`] that names `field`.
pub fn parse_base(field: &str, text: &str) -> Result<Url> {
    let url = Url::parse(text).map_err(|error| {
        Error::new(ErrorKind::Config, format!("{field}: `{}` is not a URL ({error}).", redact::url_text(text)))
            .with_hint("Write it like https://api.example.com/v2.")
    })?;
    check_base(&url).map_err(|error| error.context(field))?;
    Ok(url)
}

/// The URL of a call.
///
/// # Errors
/// [`ErrorKind::Invalid`] for a path that climbs: an id of `..` would turn "delete this" into another call.
pub(super) fn join(base: &Url, path: &str, query: &[(String, String)]) -> Result<Url> {
    if path.split('/').any(|segment| segment == "." || segment == "..") {
        return Err(Error::new(ErrorKind::Invalid, format!("`{path}` cannot stand in a URL.")));
    }
    let mut url = base.clone();
    url.set_path(&format!("{}/{}", base.path().trim_end_matches('/'), path.trim_start_matches('/')));
    if !query.is_empty() {
        let pairs: Vec<String> =
            query.iter().map(|(key, value)| format!("{}={}", encode(key), encode(value))).collect();
        url.set_query(Some(&pairs.join("&")));
    }
    Ok(url)
}

/// Percent-encodes one path segment or query part: everything but letters, digits and `-._~`.
pub fn encode(text: &str) -> String {
    use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
    const KEEP: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    utf8_percent_encode(text, KEEP).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_crosses_no_network_in_clear() {
        for (text, good) in [
            ("https://api.example.com/v2", true),
            ("http://127.0.0.1:8080/v2", true),
            ("http://127.9.9.9", true),
            ("http://[::1]:1", true),
            ("http://localhost:1", true),
            ("http://vultr.localhost:1", true),
            ("http://api.example.com", false),
            ("http://10.0.0.1", false),
            ("http://localhost.example.com", false),
            ("http://0.0.0.0", false),
            ("ftp://127.0.0.1", false),
            ("https://user:s3cret@api.example.com", false),
            ("https://api.example.com?token=s3cret", false),
            ("https://api.example.com#s3cret", false),
            ("unix:/run/s3cret", false),
            ("api.example.com", false),
        ] {
            match parse_base("endpoint", text) {
                Ok(_) => assert!(good, "{text} was taken"),
                Err(error) => {
                    assert!(!good, "{text}: {error}");
                    assert_eq!(error.kind(), ErrorKind::Config);
                    assert!(error.hint().is_some(), "{text} has no way out");
                    assert!(text.starts_with("unix:") || !error.to_string().contains("s3cret"), "{error}");
                }
            }
        }
    }

    #[test]
    fn paths_are_joined_below_the_base_and_cannot_climb() {
        let base = Url::parse("https://api.example.com/v2/").unwrap();
        let query = [("a b".to_owned(), "c&d/ü".to_owned())];
        assert_eq!(
            join(&base, "/x/y", &query).unwrap().as_str(),
            "https://api.example.com/v2/x/y?a%20b=c%26d%2F%C3%BC"
        );
        assert_eq!(join(&base, &format!("x/{}", encode("../?#")), &[]).unwrap().path(), "/v2/x/..%2F%3F%23");
        for path in ["x/..", "x/../y", "."] {
            assert_eq!(join(&base, path, &[]).unwrap_err().kind(), ErrorKind::Invalid, "{path}");
        }
    }
}
