//! Lists that come in pages.

use std::collections::HashSet;
use std::future::Future;

use futures_util::{StreamExt, TryStreamExt, stream};

use crate::error::{Error, ErrorKind, Result};

/// How many pages are asked for at once. The limiter of the account has the last word.
const AT_ONCE: usize = 8;

/// Fetches pages `2..=last` concurrently and returns them in page order after `first`.
///
/// # Errors
/// The first page that fails for good fails the whole list, by number.
pub async fn numbered<T, F, Fut>(what: &str, first: Vec<T>, last: u64, fetch: F) -> Result<Vec<T>>
where
    F: Fn(u64) -> Fut,
    Fut: Future<Output = Result<Vec<T>>>,
{
    let mut all = first;
    let fetch = &fetch;
    let mut rest = stream::iter(2..=last)
        .map(|number| async move { fetch(number).await.map_err(|error| page_failed(what, number, Some(last), error)) })
        .buffered(AT_ONCE);
    while let Some(page) = rest.try_next().await? {
        all.extend(page);
    }
    Ok(all)
}

/// Follows a cursor until there is none.
///
/// # Errors
/// The first page that fails for good fails the whole list, by number. A cursor that comes a second time is
/// [`ErrorKind::Protocol`]: following it would never end.
pub async fn chained<T, F, Fut>(what: &str, fetch: F) -> Result<Vec<T>>
where
    F: Fn(Option<String>) -> Fut,
    Fut: Future<Output = Result<(Vec<T>, Option<String>)>>,
{
    let mut all = Vec::new();
    let mut followed = HashSet::new();
    let mut cursor = None;
    for number in 1.. {
        let (page, next) = fetch(cursor).await.map_err(|error| page_failed(what, number, None, error))?;
        all.extend(page);
        let Some(next) = next else { break };
        if !followed.insert(next.clone()) {
            let circle = Error::new(ErrorKind::Protocol, "The provider leads back to a page that was already read.");
            return Err(page_failed(what, number + 1, None, circle));
        }
        cursor = Some(next);
    }
    Ok(all)
}

/// The items of all pages in one list: `items` is how many there are.
pub fn joined<T>(pages: impl IntoIterator<Item = Vec<T>>, items: usize) -> Vec<T> {
    let mut all = Vec::with_capacity(items);
    pages.into_iter().for_each(|page| all.extend(page));
    all
}

/// Names the page in an error.
pub fn page_failed(what: &str, number: u64, last: Option<u64>, error: Error) -> Error {
    match last {
        Some(last) => {
            error.context(format!("Page {number} of {last} of the {what} is missing, so the list is not shown"))
        }
        None if number > 1 => {
            error.context(format!("Page {number} of the {what} is missing, so the list is not shown"))
        }
        None => error,
    }
}
