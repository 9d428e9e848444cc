//! A list is whole, or it is an error.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use capsule_core::http::page::{chained, numbered};
use capsule_core::{Error, ErrorKind, Retry};

#[tokio::test]
async fn numbered_pages_come_at_once_and_stay_in_order() {
    let under_way = AtomicUsize::new(0);
    let most = AtomicUsize::new(0);
    let asked = Mutex::new(Vec::new());
    let all = numbered("servers", vec![1], 20, async |number| {
        asked.lock().unwrap().push(number);
        most.fetch_max(under_way.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        // Later pages answer sooner.
        for _ in number..25 {
            tokio::task::yield_now().await;
        }
        under_way.fetch_sub(1, Ordering::SeqCst);
        Ok(vec![number])
    })
    .await
    .unwrap();
    assert_eq!(all, (1..=20).collect::<Vec<_>>());
    assert_eq!(most.load(Ordering::SeqCst), 8);
    let mut asked = asked.into_inner().unwrap();
    asked.sort_unstable();
    assert_eq!(asked, (2..=20).collect::<Vec<_>>(), "each page once");
}

#[tokio::test]
async fn a_list_of_one_page_asks_for_no_more() {
    for last in [0, 1] {
        let all = numbered("servers", vec!['a'], last, async |number| panic!("page {number} was asked for")).await;
        assert_eq!(all.unwrap(), ['a']);
    }
}

#[tokio::test]
async fn a_failing_page_is_named_and_nothing_shorter_is_shown() {
    for bad in [2, 7, 20] {
        let error = numbered("servers", vec![1], 20, async |number| match number {
            n if n == bad => Err(Error::new(ErrorKind::Unavailable, "It broke.").with_retry(Retry::Backoff)),
            n => Ok(vec![n]),
        })
        .await
        .unwrap_err();
        assert_eq!(
            error.message(),
            format!("Page {bad} of 20 of the servers is missing, so the list is not shown: It broke.")
        );
        assert_eq!((error.kind(), error.retry()), (ErrorKind::Unavailable, Retry::Backoff));
    }
}

#[tokio::test]
async fn a_cursor_is_followed_to_its_end() {
    let pages = async |cursor: Option<String>| match cursor.as_deref() {
        None => Ok((vec![1, 2], Some("b".to_owned()))),
        Some("b") => Ok((vec![], Some("c".to_owned()))),
        Some("c") => Ok((vec![3], None)),
        Some(other) => panic!("{other} was asked for"),
    };
    assert_eq!(chained("servers", pages).await.unwrap(), [1, 2, 3]);
}

#[tokio::test]
async fn a_cursor_that_leads_nowhere_fails_by_number() {
    let broken = async |cursor: Option<String>| match cursor {
        None => Ok((vec![1], Some("b".to_owned()))),
        Some(_) => Err(Error::new(ErrorKind::Timeout, "No answer.")),
    };
    let error = chained("servers", broken).await.unwrap_err();
    assert_eq!(error.message(), "Page 2 of the servers is missing, so the list is not shown: No answer.");
}

#[tokio::test]
async fn a_cursor_that_comes_again_is_an_error_and_no_endless_list() {
    let asked = AtomicUsize::new(0);
    let circle = async |cursor: Option<String>| {
        assert!(asked.fetch_add(1, Ordering::SeqCst) < 10, "went round and round");
        Ok((vec![1], Some(if cursor.as_deref() == Some("b") { "c" } else { "b" }.to_owned())))
    };
    let error = chained("servers", circle).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
}
