//! One function for each bullet, in the trait's order and under its name.

use std::collections::BTreeSet;
use std::time::Duration;

use capsule_core::{
    Effect, ErrorKind, Instance, InstanceId, InstanceStatus, InvoiceLine, Leftover, LeftoverKind, LineKind, MadeFor,
    Marking, Money, Order, OwnerId, Place, Power, Scope, SshKey, Statement, Token,
};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use libtest_mimic::Failed;

use crate::ground::{Attempt, Ground};

macro_rules! bullets {
    ($($name:ident),* $(,)?) => {
        /// Every bullet with its trial.
        pub(crate) const BULLETS: &[(&str, Attempt)] = &[$((stringify!($name), |ground| Box::pin($name(ground)))),*];
    };
}

bullets! {
    verify_names_the_account,
    verify_refuses_a_wrong_key,
    catalog_is_consistent,
    check_takes_a_good_order,
    check_refuses_a_wrong_name,
    check_refuses_a_wrong_user_data,
    create_is_found_by_token,
    create_makes_every_name,
    create_hands_over_user_data,
    create_refuses_an_unknown_plan,
    create_refuses_an_unknown_region,
    create_refuses_an_unknown_image,
    get_shows_what_was_created,
    get_missing_is_none,
    list_shows_every_page,
    list_shows_every_kind,
    list_by_owner_leaves_others_out,
    list_by_place_shows_what_is_there,
    list_fails_whole,
    stop_ends_stopped,
    start_ends_running,
    reboot_ends_running,
    force_off_ends_stopped,
    power_to_the_same_state_is_ok,
    power_on_missing_is_not_found,
    delete_ends_in_none,
    delete_missing_is_ok,
    delete_leaves_nothing_billed,
    nothing_is_left_over_without_a_way_to_it,
    leftovers_of_a_vanished_server_are_found,
    what_belongs_to_a_living_server_is_not_left_over,
    a_removed_leftover_is_gone,
    a_key_that_create_gave_away_can_be_taken_back,
    a_key_of_somebody_else_is_never_left_over,
    a_statement_grows_with_a_server,
    a_statement_refuses_a_wrong_key,
    a_month_that_ended_is_invoiced,
    an_invoice_refuses_a_wrong_key,
    a_server_can_start_from_its_own_disk,
    own_disk_may_be_asked_for_twice,
    own_disk_of_a_missing_server_is_not_found,
    a_price_without_a_way_to_disks_has_them_in_it,
    the_disks_of_a_server_are_told,
    a_missing_server_has_no_disks,
    a_marked_server_is_listed_as_ours,
    marking_keeps_what_a_server_carries,
    marking_twice_is_ok,
    a_server_of_another_installation_is_not_marked,
    marking_a_missing_server_is_not_found,
}

type Outcome = Result<(), Failed>;

/// Fails with a sentence instead of a panic, so that what was made is still taken away.
macro_rules! check {
    ($condition:expr, $($why:tt)+) => {
        if !$condition {
            return Err(format!($($why)+).into());
        }
    };
}

mod facets;

use self::facets::*;

fn ids(servers: &[Instance]) -> BTreeSet<String> {
    servers.iter().map(|server| server.id.to_string()).collect()
}

/// An id in the vendor's form that no server has: another last character.
fn missing(like: &InstanceId) -> InstanceId {
    let mut native = like.native.clone();
    let other = if native.pop() == Some('1') { '2' } else { '1' };
    native.push(other);
    InstanceId { native, ..like.clone() }
}

async fn verify_names_the_account(ground: &Ground) -> Outcome {
    let account = ground.provider.verify().await?;
    check!(!account.id.trim().is_empty(), "the account has no name: {account:?}");
    if let Some(other) = &ground.other {
        let other = other.verify().await?;
        check!(other.id != account.id, "two accounts are both called {}", account.id);
    }
    Ok(())
}

async fn verify_refuses_a_wrong_key(ground: &Ground) -> Outcome {
    let Err(error) = ground.stranger.verify().await else { return Err("a wrong key was taken".into()) };
    check!(error.kind() == ErrorKind::Unauthenticated, "a wrong key is {}: {error}", error.kind());
    check!(error.hint().is_some(), "the error does not say what to do: {error}");
    Ok(())
}

async fn catalog_is_consistent(ground: &Ground) -> Outcome {
    let catalog = ground.provider.catalog().await?;
    check!(!catalog.offers.is_empty(), "nothing is on offer");
    for offer in &catalog.offers {
        check!(catalog.plan(&offer.plan).is_some(), "{} is offered but no plan", offer.plan);
        check!(catalog.region(&offer.region).is_some(), "{} is offered in, but no region", offer.region);
        let hourly = offer.price.as_ref().map(|price| price.hourly()).transpose();
        let hourly = hourly.map_err(|error| format!("{}: {error}", offer.plan))?;
        check!(hourly.is_none_or(|money| money.amount().is_sign_positive()), "{} costs {hourly:?}", offer.plan);
    }
    for (what, all, once) in [
        ("plan", catalog.plans.len(), catalog.plans.iter().map(|plan| &plan.id).collect::<BTreeSet<_>>().len()),
        ("region", catalog.regions.len(), catalog.regions.iter().map(|r| &r.id).collect::<BTreeSet<_>>().len()),
        ("image", catalog.images.len(), catalog.images.iter().map(|image| &image.id).collect::<BTreeSet<_>>().len()),
    ] {
        check!(all == once, "some {what} is there twice");
    }
    let ubuntu = catalog.images.iter().any(|image| image.os.as_deref() == Some("ubuntu-24.04"));
    check!(ubuntu, "there is no Ubuntu 24.04");
    Ok(())
}

async fn check_takes_a_good_order(ground: &Ground) -> Outcome {
    Ok(ground.provider.check(&ground.order(&["good"]).await?)?)
}

async fn check_refuses_a_wrong_name(ground: &Ground) -> Outcome {
    check_refuses(ground, |order| order.names = vec!["n".repeat(300)]).await
}

async fn check_refuses_a_wrong_user_data(ground: &Ground) -> Outcome {
    let size = ground.provider.capabilities().user_data_max;
    check_refuses(ground, |order| order.spec.user_data = Some(format!("#cloud-config\n{}", "#".repeat(size)))).await
}

/// A good order with one thing wrong in it is refused by the check, and by create before it sends anything.
async fn check_refuses(ground: &Ground, spoil: impl FnOnce(&mut Order)) -> Outcome {
    let mut order = ground.order(&["good"]).await?;
    spoil(&mut order);
    for answer in [ground.provider.check(&order), ground.provider.create(&order).await.map(drop)] {
        let Err(error) = answer else { return Err("it was taken".into()) };
        check!(error.kind() == ErrorKind::Invalid, "it is {}: {error}", error.kind());
        check!(error.http_status().is_none() && error.attempts() == 0, "it was sent: {error:?}");
    }
    Ok(())
}

async fn create_is_found_by_token(ground: &Ground) -> Outcome {
    let (first, second) = (ground.order(&["first"]).await?, ground.order(&["second"]).await?);
    let made = ground.provider.create(&first).await?;
    ground.provider.create(&second).await?;
    let found = ground.lists(&Scope::Token(first.token.clone()), 1).await?;
    check!(ids(&found) == ids(&made), "{:?} was made, {:?} is found", ids(&made), ids(&found));
    let tags = &found[0].tags;
    check!(tags.token() == Some(first.token.as_str()), "what is found carries {:?}", tags.token());
    check!(tags.owner() == Some(ground.owner.as_str()), "what is found belongs to {:?}", tags.owner());
    Ok(())
}

async fn create_makes_every_name(ground: &Ground) -> Outcome {
    let names: Vec<String> = (0..ground.provider.capabilities().batch.min(10)).map(|n| format!("member-{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let order = ground.order(&names).await?;
    let made = ground.provider.create(&order).await?;
    let called = |servers: &[Instance]| servers.iter().map(|server| server.name.clone()).collect::<BTreeSet<_>>();
    let wanted: BTreeSet<String> = order.names.iter().cloned().collect();
    check!(called(&made) == wanted && made.len() == names.len(), "{:?} was made", called(&made));
    let found = ground.lists(&Scope::Token(order.token.clone()), names.len()).await?;
    check!(ids(&found) == ids(&made) && called(&found) == wanted, "{:?} is found", called(&found));
    Ok(())
}

async fn create_hands_over_user_data(ground: &Ground) -> Outcome {
    let start = "#cloud-config\nruncmd:\n  - |\n    echo 'it''s' \"$x\" `y` \\\\ \\n <&;+%20=> é 日本\n";
    let rest = ground.provider.capabilities().user_data_max - start.len();
    for (name, text) in [("short", start.to_owned()), ("long", format!("{start}{}", "#".repeat(rest)))] {
        let mut order = ground.order(&[name]).await?;
        order.spec.user_data = Some(text.clone());
        let made = ground.provider.create(&order).await?;
        let found = ground.witness.user_data(&made[0].id).await?;
        check!(found.as_ref() == Some(&text), "{} bytes were sent, and {found:?} arrived", text.len());
    }
    Ok(())
}

async fn create_refuses_an_unknown_plan(ground: &Ground) -> Outcome {
    refuses(ground, |order| order.spec.plan = unknown(&order.spec.plan)).await
}

async fn create_refuses_an_unknown_region(ground: &Ground) -> Outcome {
    refuses(ground, |order| order.spec.region = unknown(&order.spec.region)).await
}

async fn create_refuses_an_unknown_image(ground: &Ground) -> Outcome {
    refuses(ground, |order| order.spec.image = unknown(&order.spec.image)).await
}

/// A word of the same form that names nothing: each digit another one, or `x` behind it.
fn unknown(word: &str) -> String {
    let other: String = word.chars().map(|c| if c.is_ascii_digit() { '7' } else { c }).collect();
    if other == word { format!("{word}x") } else { other }
}

async fn refuses(ground: &Ground, spoil: impl Fn(&mut Order)) -> Outcome {
    let mut order = ground.order(&["refused"]).await?;
    spoil(&mut order);
    let Err(error) = ground.provider.create(&order).await else { return Err("it was made".into()) };
    check!(error.effect() == Effect::None, "the error leaves it open whether it was made: {error:?}");
    check!(error.kind() == ErrorKind::Invalid, "the refusal is {}: {error}", error.kind());
    ground.past_the_lag().await;
    let found = ground.provider.list(&Scope::Token(order.token)).await?;
    check!(found.is_empty(), "it was refused and made all the same: {:?}", ids(&found));
    Ok(())
}

async fn get_shows_what_was_created(ground: &Ground) -> Outcome {
    let order = ground.order(&["shown"]).await?;
    let made = ground.provider.create(&order).await?.remove(0);
    let seen = ground.becomes(&made.id, InstanceStatus::Running).await?;
    check!(seen.id == made.id && seen.name == "shown", "{} is called {}", seen.id, seen.name);
    check!(seen.id.region == order.spec.region, "it was ordered in {} and is {}", order.spec.region, seen.id);
    check!(seen.plan == order.spec.plan, "a {} was ordered, it is a {}", order.spec.plan, seen.plan);
    check!(seen.addresses.primary().is_some(), "it runs without an address: {:?}", seen.addresses);
    check!(seen.tags == order.spec.tags.at_birth(&order.owner, &order.token), "its tags are {:?}", seen.tags);
    check!(seen.created_at.is_some(), "nobody knows when it was made");
    // What we put before the vendor's own id stands in no body of theirs.
    let tail = &seen.id.native[seen.id.native.len().saturating_sub(12)..];
    check!(seen.metadata.get().contains(tail), "the vendor's body is not about it");
    Ok(())
}

async fn get_missing_is_none(ground: &Ground) -> Outcome {
    let made = ground.one("there").await?;
    let seen = ground.provider.get(&missing(&made.id)).await?;
    check!(seen.is_none(), "{:?} is shown", seen.map(|server| server.id));
    Ok(())
}

/// One server more than fits a page.
async fn many(ground: &Ground) -> Result<BTreeSet<String>, Failed> {
    let names: Vec<String> = (0..=ground.page).map(|n| format!("many-{n}")).collect();
    let mut made = BTreeSet::new();
    // One look at the catalogue is enough for all of them.
    let like = ground.order(&[]).await?;
    let (first, others) = names.split_first().ok_or("a page holds at least one")?;
    let order = Order { token: Token::random(), names: vec![first.clone()], ..like.clone() };
    let born = ground.provider.create(&order).await?.remove(0);
    made.insert(born.id.to_string());
    if let Some(natives) = ground.witness.multiply(&born.id, others).await? {
        made.extend(natives.into_iter().map(|native| InstanceId { native, ..born.id.clone() }.to_string()));
        return Ok(made);
    }
    for batch in others.chunks(ground.provider.capabilities().batch) {
        let order = Order { token: Token::random(), names: batch.to_vec(), ..like.clone() };
        made.extend(ids(&ground.provider.create(&order).await?));
    }
    Ok(made)
}

async fn list_shows_every_page(ground: &Ground) -> Outcome {
    let made = many(ground).await?;
    for scope in [Scope::Owner(ground.owner.clone()), Scope::All] {
        let listed = ground.lists(&scope, made.len()).await?;
        let shown = ids(&listed);
        check!(shown.len() == listed.len(), "{} of {} are doubles", listed.len() - shown.len(), listed.len());
        let lacking = made.difference(&shown).count();
        check!(lacking == 0, "{lacking} of {} are not listed by {scope:?}", made.len());
    }
    Ok(())
}

async fn list_shows_every_kind(ground: &Ground) -> Outcome {
    let mut made = Vec::new();
    for (number, kind) in ground.provider.capabilities().kinds.iter().enumerate() {
        let order = ground.order_of(*kind, &[&format!("kind-{number}")]).await?;
        made.extend(ground.provider.create(&order).await?);
    }
    for scope in [Scope::Owner(ground.owner.clone()), Scope::All] {
        let listed = ground.lists(&scope, made.len()).await?;
        check!(ids(&listed) == ids(&made), "{:?} was made, {:?} is listed by {scope:?}", ids(&made), ids(&listed));
        for server in &made {
            let plan = listed.iter().find(|other| other.id == server.id).map(|other| other.plan.as_str());
            check!(plan == Some(server.plan.as_str()), "{} is a {}, and listed as a {plan:?}", server.id, server.plan);
        }
    }
    Ok(())
}

async fn list_by_owner_leaves_others_out(ground: &Ground) -> Outcome {
    let ours = ground.one("ours").await?;
    let mut order = ground.order(&["theirs"]).await?;
    order.owner = ground.neighbour.clone();
    let theirs = ground.provider.create(&order).await?;
    let listed = ground.lists(&Scope::Owner(ground.owner.clone()), 1).await?;
    check!(ids(&listed) == ids(&[ours]), "{:?} is listed", ids(&listed));
    let listed = ground.lists(&Scope::Owner(ground.neighbour.clone()), 1).await?;
    check!(ids(&listed) == ids(&theirs), "{:?} is listed", ids(&listed));
    Ok(())
}

async fn list_by_place_shows_what_is_there(ground: &Ground) -> Outcome {
    let (order, mut theirs) = (ground.order(&["ours"]).await?, ground.order(&["theirs"]).await?);
    theirs.owner = ground.neighbour.clone();
    let made = ground.provider.create(&order).await?;
    ground.provider.create(&theirs).await?;
    for kind in [Some(ground.kind), None] {
        let place = Place { region: order.spec.region.clone(), kind };
        let scopes =
            [Scope::OwnerIn(ground.owner.clone(), [place.clone()].into()), Scope::TokenIn(order.token.clone(), place)];
        for scope in scopes {
            let listed = ground.lists(&scope, 1).await?;
            check!(ids(&listed) == ids(&made), "{:?} was made, {:?} is listed by {scope:?}", ids(&made), ids(&listed));
        }
    }
    Ok(())
}

async fn list_fails_whole(ground: &Ground) -> Outcome {
    many(ground).await?;
    ground.past_the_lag().await;
    ground.witness.break_later_pages().await?;
    match ground.provider.list(&Scope::All).await {
        Ok(listed) => Err(format!("a list of {} is shown though a page is missing", listed.len()).into()),
        Err(error) if error.to_string().contains("missing, so the list is not shown") => Ok(()),
        Err(error) => Err(format!("the error does not say what is missing: {error}").into()),
    }
}

async fn stop_ends_stopped(ground: &Ground) -> Outcome {
    let server = ground.running("stopped").await?;
    ground.provider.power(&server.id, Power::Off).await?;
    ground.becomes(&server.id, InstanceStatus::Stopped).await.map(drop)
}

async fn start_ends_running(ground: &Ground) -> Outcome {
    let server = ground.running("started").await?;
    ground.provider.power(&server.id, Power::Off).await?;
    ground.becomes(&server.id, InstanceStatus::Stopped).await?;
    ground.provider.power(&server.id, Power::On).await?;
    let server = ground.becomes(&server.id, InstanceStatus::Running).await?;
    check!(server.addresses.primary().is_some(), "it came back without an address");
    Ok(())
}

async fn reboot_ends_running(ground: &Ground) -> Outcome {
    let server = ground.running("rebooted").await?;
    ground.provider.power(&server.id, Power::Reboot).await?;
    ground.becomes(&server.id, InstanceStatus::Running).await.map(drop)
}

async fn force_off_ends_stopped(ground: &Ground) -> Outcome {
    let server = ground.running("forced").await?;
    let forced = ground.provider.power(&server.id, Power::ForceOff).await;
    if !ground.provider.capabilities().force_off {
        let kind = forced.as_ref().map_err(|error| error.kind()).err();
        check!(kind == Some(ErrorKind::Unsupported), "it says that it cannot, and then {forced:?}");
        return Ok(());
    }
    forced?;
    ground.becomes(&server.id, InstanceStatus::Stopped).await.map(drop)
}

async fn power_to_the_same_state_is_ok(ground: &Ground) -> Outcome {
    let server = ground.running("same").await?;
    ground.provider.power(&server.id, Power::On).await?;
    ground.becomes(&server.id, InstanceStatus::Running).await?;
    ground.provider.power(&server.id, Power::Off).await?;
    ground.becomes(&server.id, InstanceStatus::Stopped).await?;
    ground.provider.power(&server.id, Power::Off).await?;
    if ground.provider.capabilities().force_off {
        ground.provider.power(&server.id, Power::ForceOff).await?;
    }
    ground.becomes(&server.id, InstanceStatus::Stopped).await.map(drop)
}

async fn power_on_missing_is_not_found(ground: &Ground) -> Outcome {
    let made = ground.one("there").await?;
    let Err(error) = ground.provider.power(&missing(&made.id), Power::On).await else {
        return Err("a server that is not there was started".into());
    };
    check!(error.kind() == ErrorKind::NotFound, "the error is {}: {error}", error.kind());
    Ok(())
}

async fn delete_ends_in_none(ground: &Ground) -> Outcome {
    let server = ground.running("ended").await?;
    ground.provider.delete(&server.id).await?;
    ground.ends(&server.id).await
}

async fn delete_missing_is_ok(ground: &Ground) -> Outcome {
    let server = ground.running("ended").await?;
    ground.provider.delete(&missing(&server.id)).await?;
    ground.provider.delete(&server.id).await?;
    ground.ends(&server.id).await?;
    Ok(ground.provider.delete(&server.id).await?)
}

async fn delete_leaves_nothing_billed(ground: &Ground) -> Outcome {
    let before = ground.witness.everything().await?;
    let server = ground.running("billed").await?;
    check!(!ground.witness.billed(&ground.owner).await?.is_empty(), "nobody sees that it is there");
    ground.provider.delete(&server.id).await?;
    ground.ends(&server.id).await?;
    // Some vendors free what hung on a server only after it is gone: a second call takes that along.
    ground.provider.delete(&server.id).await?;
    ground.past_the_lag().await;
    let left = ground.witness.billed(&ground.owner).await?;
    check!(left.is_empty(), "{left:?} is left behind");
    let after = ground.witness.everything().await?;
    check!(after == before, "{before:?} was billed before, {after:?} is now");
    Ok(())
}
