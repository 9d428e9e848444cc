//! The bullets of what only some providers have: leftovers, keys, statements, invoices, loaders, disks and marks.

use super::*;

pub(super) async fn nothing_is_left_over_without_a_way_to_it(ground: &Ground) -> Outcome {
    let server = ground.running("vanished").await?;
    ground.vanish(&server).await?;
    let left = ground.witness.billed(&ground.owner).await?;
    check!(ground.provider.leftovers().is_some() || left.is_empty(), "{left:?} is left, and there is no way to it");
    Ok(())
}

pub(super) async fn leftovers_of_a_vanished_server_are_found(ground: &Ground) -> Outcome {
    let Some(leftovers) = ground.provider.leftovers() else { return Ok(()) };
    let server = keyed(ground, &ground.owner, "vanished").await?;
    ground.vanish(&server).await?;
    let found = leftovers.leftovers(&ground.owner).await?;
    check!(!found.is_empty(), "nothing is found");
    let is_of_it = |left: &Leftover| match &left.made_for {
        MadeFor::Token(token) => Some(token.as_str()) == server.tags.token(),
        MadeFor::PublicKey(key) => KEY.starts_with(key.as_str()),
    };
    check!(found.iter().all(is_of_it), "{found:?} is of another order");
    let ids: BTreeSet<_> = found.iter().map(|left| left.id.to_string()).collect();
    check!(ids.len() == found.len(), "some of {found:?} is there twice");
    let mut others = leftovers.leftovers(&ground.neighbour).await?;
    // A tag bears nobody's name: the journal knows whose the token was.
    others.retain(|left| left.kind != LeftoverKind::Tag);
    check!(others.is_empty(), "{others:?} is shown to somebody else");
    let unpriced = found.iter().any(|left| left.price.is_some() && !left.kind.is_billed());
    check!(!unpriced, "{found:?} has a price for what costs nothing");
    Ok(())
}

pub(super) async fn what_belongs_to_a_living_server_is_not_left_over(ground: &Ground) -> Outcome {
    let Some(leftovers) = ground.provider.leftovers() else { return Ok(()) };
    ground.running("living").await?;
    let found = leftovers.leftovers(&ground.owner).await?;
    check!(found.is_empty(), "{found:?} counts as left over");
    Ok(())
}

pub(super) async fn a_removed_leftover_is_gone(ground: &Ground) -> Outcome {
    let Some(leftovers) = ground.provider.leftovers() else { return Ok(()) };
    let server = ground.running("vanished").await?;
    ground.vanish(&server).await?;
    let found = leftovers.leftovers(&ground.owner).await?;
    for left in &found {
        leftovers.remove(left).await?;
    }
    let still = leftovers.leftovers(&ground.owner).await?;
    check!(still.is_empty(), "{still:?} was removed and is there");
    let billed = ground.witness.billed(&ground.owner).await?;
    check!(billed.is_empty(), "{billed:?} goes on costing");
    for left in &found {
        leftovers.remove(left).await?;
    }
    Ok(())
}

/// A key's shape; nobody has the private half.
const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK0wmN/Cr3JXqmLW7u+g9pTh+wyqDHpSQEIQczXkVx9q me@home";

/// A server of an owner that runs and was given a key.
async fn keyed(ground: &Ground, owner: &OwnerId, name: &str) -> Result<Instance, Failed> {
    let mut order = ground.order(&[name]).await?;
    order.owner = owner.clone();
    order.spec.ssh_keys = vec![SshKey::Public(KEY.to_owned())];
    let made = ground.provider.create(&order).await?.remove(0);
    ground.becomes(&made.id, InstanceStatus::Running).await
}

/// The keys that an owner gave the vendor and that no server has.
async fn left_keys(ground: &Ground, owner: &OwnerId) -> Result<Vec<Leftover>, Failed> {
    let Some(leftovers) = ground.provider.leftovers() else { return Ok(Vec::new()) };
    let mut found = leftovers.leftovers(owner).await?;
    found.retain(|left| left.kind == LeftoverKind::SshKey);
    Ok(found)
}

pub(super) async fn a_key_that_create_gave_away_can_be_taken_back(ground: &Ground) -> Outcome {
    let Some(leftovers) = ground.provider.leftovers() else { return Ok(()) };
    for round in ["first", "second"] {
        let server = keyed(ground, &ground.owner, round).await?;
        ground.vanish(&server).await?;
        let found = left_keys(ground, &ground.owner).await?;
        let [key] = &found[..] else { return Err(format!("the {round} time {found:?} is found").into()) };
        check!(key.name.contains("capsule"), "nobody sees whose `{}` is", key.name);
        for _ in 0..2 {
            leftovers.remove(key).await?;
        }
        let still = left_keys(ground, &ground.owner).await?;
        check!(still.is_empty(), "{still:?} was removed and is there");
    }
    Ok(())
}

pub(super) async fn a_key_of_somebody_else_is_never_left_over(ground: &Ground) -> Outcome {
    let theirs = keyed(ground, &ground.neighbour, "theirs").await?;
    let ours = keyed(ground, &ground.owner, "ours").await?;
    for server in [&theirs, &ours] {
        ground.vanish(server).await?;
    }
    let found = left_keys(ground, &ground.owner).await?;
    check!(found.is_empty(), "{found:?} was given by somebody else");
    let found = left_keys(ground, &ground.neighbour).await?;
    check!(ground.provider.leftovers().is_none() || found.len() == 1, "whose it is, finds {found:?}");
    Ok(())
}

pub(super) async fn a_statement_grows_with_a_server(ground: &Ground) -> Outcome {
    let statements = ground.provider.statements().ok_or("there is no way to one")?;
    let sum = |statement: &Statement| {
        let told = [statement.charged, statement.balance].into_iter().flatten().map(|money| money.amount());
        told.reduce(|sum, amount| sum + amount)
    };
    let before = statements.statement().await?;
    ground.running("charged").await?;
    ground.clock.sleep(Duration::from_secs(2 * 3600) + statements.lag()).await;
    let after = statements.statement().await?;
    check!(sum(&before).is_some() && sum(&after) > sum(&before), "{before:?} became {after:?}");
    check!(after.asked_at > before.asked_at, "it was asked at {} and at {}", before.asked_at, after.asked_at);
    check!(!statements.needs().is_empty(), "it does not say which right it needs");
    Ok(())
}

pub(super) async fn a_statement_refuses_a_wrong_key(ground: &Ground) -> Outcome {
    let statements = ground.stranger.statements().ok_or("there is no way to one")?;
    let Err(error) = statements.statement().await else { return Err("a wrong key is told what is owed".into()) };
    check!(error.kind() == ErrorKind::Unauthenticated, "a wrong key is {}: {error}", error.kind());
    Ok(())
}

/// The first day of the month that it is.
fn this_month(ground: &Ground) -> Date {
    TimeZone::UTC.to_datetime(ground.clock.now()).date().first_of_month()
}

pub(super) async fn a_month_that_ended_is_invoiced(ground: &Ground) -> Outcome {
    let statements = ground.provider.statements().ok_or("there is no way to one")?;
    let early = statements.invoiced(this_month(ground)).await?;
    check!(early.total.is_none() && early.invoices.is_empty(), "the running month is invoiced: {early:?}");
    let server = ground.running("invoiced").await?;
    let month = this_month(ground);
    ground.clock.sleep(Duration::from_secs(32 * 24 * 3600) + statements.lag()).await;
    let invoiced = statements.invoiced(month).await?;
    let total = invoiced.total.ok_or_else(|| format!("nothing is invoiced: {invoiced:?}"))?;
    check!(invoiced.month == month && total.amount().is_sign_positive(), "{invoiced:?}");
    let sum = invoiced.lines.iter().try_fold(Money::zero(total.currency()), |sum, line| sum.checked_add(line.amount));
    check!(sum.as_ref() == Ok(&total), "{total} is invoiced, and the lines come to {sum:?}");
    let is_its = |line: &InvoiceLine| {
        line.kind == LineKind::Servers
            || line.server.as_ref() == Some(&server.id.native)
            || line.what.split([' ', ',', '[', ']', '(', ')']).any(|word| word == server.name)
    };
    check!(invoiced.lines.iter().any(is_its), "no line is of {} ({}): {invoiced:?}", server.name, server.id);
    let before = month.yesterday().map_err(|error| error.to_string())?.first_of_month();
    let nothing = statements.invoiced(before).await?;
    check!(nothing.total.is_none() && nothing.lines.is_empty(), "there was nothing yet to invoice: {nothing:?}");
    Ok(())
}

pub(super) async fn an_invoice_refuses_a_wrong_key(ground: &Ground) -> Outcome {
    let statements = ground.stranger.statements().ok_or("there is no way to one")?;
    let month = this_month(ground);
    let Err(error) = statements.invoiced(month).await else { return Err("a wrong key is shown invoices".into()) };
    check!(error.kind() == ErrorKind::Unauthenticated, "a wrong key is {}: {error}", error.kind());
    Ok(())
}

pub(super) async fn a_server_can_start_from_its_own_disk(ground: &Ground) -> Outcome {
    let server = ground.running("trial-disk").await?;
    let from_birth = ground.witness.starts_from_own_disk(&server.id).await?;
    let Some(loader) = ground.provider.own_loader() else {
        check!(from_birth, "{} does not start from its own disk, and there is no way to let it", server.id);
        return Ok(());
    };
    check!(!from_birth, "{} needs no way to its own disk", server.id);
    loader.start_from_own_disk(&server.id).await?;
    check!(ground.witness.starts_from_own_disk(&server.id).await?, "{} still starts otherwise", server.id);
    Ok(())
}

pub(super) async fn own_disk_may_be_asked_for_twice(ground: &Ground) -> Outcome {
    let Some(loader) = ground.provider.own_loader() else { return Ok(()) };
    let server = ground.running("trial-disk").await?;
    for _ in 0..2 {
        loader.start_from_own_disk(&server.id).await?;
    }
    check!(ground.witness.starts_from_own_disk(&server.id).await?, "asking twice undid it");
    let still = ground.provider.get(&server.id).await?;
    check!(still.is_some_and(|still| still.status == InstanceStatus::Running), "it was disturbed");
    Ok(())
}

pub(super) async fn own_disk_of_a_missing_server_is_not_found(ground: &Ground) -> Outcome {
    let Some(loader) = ground.provider.own_loader() else { return Ok(()) };
    let server = ground.running("trial-disk").await?;
    let refused = loader.start_from_own_disk(&missing(&server.id)).await;
    let kind = refused.as_ref().err().map(capsule_core::Error::kind);
    check!(kind == Some(ErrorKind::NotFound), "a missing server: {refused:?}");
    Ok(())
}

/// The way to mark servers.
fn marking(ground: &Ground) -> Result<&dyn Marking, Failed> {
    Ok(ground.provider.marking().ok_or("there is no way to mark a server")?)
}

/// A server that runs and that no installation made: without either of our tags.
async fn unmarked(ground: &Ground, name: &str) -> Result<Instance, Failed> {
    let server = ground.running(name).await?;
    ground.witness.unmark(&server.id).await?;
    let seen = ground.becomes(&server.id, InstanceStatus::Running).await?;
    check!(seen.tags.owner().is_none(), "it is still marked: {:?}", seen.tags);
    Ok(seen)
}

pub(super) async fn a_price_without_a_way_to_disks_has_them_in_it(ground: &Ground) -> Outcome {
    let catalog = ground.provider.catalog().await?;
    let apart = catalog.offers.iter().find(|offer| offer.price.as_ref().is_some_and(|price| price.has_disks_apart()));
    check!(ground.provider.disks().is_some() || apart.is_none(), "disks are charged apart from {:?}", apart);
    Ok(())
}

pub(super) async fn the_disks_of_a_server_are_told(ground: &Ground) -> Outcome {
    let Some(disks) = ground.provider.disks() else { return Ok(()) };
    let mut order = ground.order(&["large"]).await?;
    order.spec.disk_gib = Some(50);
    let made = ground.provider.create(&order).await?.into_iter().next().ok_or("create gave no server")?;
    let other = ground.running("other").await?;
    let server = ground.becomes(&made.id, InstanceStatus::Running).await?;
    let told = disks.of(std::slice::from_ref(&server.id)).await?;
    check!(told.keys().eq([&server.id]), "{told:?} is of {} too", other.id);
    let [disk] = &told[&server.id][..] else { return Err(format!("{told:?} is not its one disk").into()) };
    // Some vendors count in units of 10^9 bytes, and round up.
    let ordered = 50_u64 << 30;
    check!((ordered..ordered + 1_000_000_000).contains(&disk.bytes), "{disk:?} is not of 50 GiB");
    check!(disk.is_usual && disk.ends_with_server && !disk.kind.is_empty(), "{disk:?} is not as it was ordered");
    Ok(())
}

pub(super) async fn a_missing_server_has_no_disks(ground: &Ground) -> Outcome {
    let Some(disks) = ground.provider.disks() else { return Ok(()) };
    let made = ground.one("there").await?;
    let told = disks.of(&[missing(&made.id)]).await?;
    check!(told.is_empty(), "{told:?}");
    Ok(())
}

pub(super) async fn a_marked_server_is_listed_as_ours(ground: &Ground) -> Outcome {
    let server = unmarked(ground, "foreign").await?;
    let before = ground.provider.list(&Scope::Owner(ground.owner.clone())).await?;
    check!(before.is_empty(), "{:?} is ours already", ids(&before));
    marking(ground)?.mark(&server.id, &ground.owner).await?;
    let listed = ground.lists(&Scope::Owner(ground.owner.clone()), 1).await?;
    check!(ids(&listed) == ids(std::slice::from_ref(&server)), "{:?} is listed", ids(&listed));
    let shown = ground.provider.get(&server.id).await?.ok_or("it is gone")?;
    check!(shown.is_owned_by(&ground.owner), "its tags are {:?}", shown.tags);
    Ok(())
}

pub(super) async fn marking_keeps_what_a_server_carries(ground: &Ground) -> Outcome {
    let server = unmarked(ground, "foreign").await?;
    let words = ground.witness.words(&server.id).await?;
    check!(!words.is_empty(), "it carries nothing that could be lost");
    marking(ground)?.mark(&server.id, &ground.owner).await?;
    let after = ground.witness.words(&server.id).await?;
    let lost: Vec<_> = words.iter().filter(|word| !after.contains(word)).collect();
    check!(lost.is_empty() && after.len() == words.len() + 1, "{words:?} became {after:?}");
    let shown = ground.provider.get(&server.id).await?.ok_or("it is gone")?;
    check!(shown.name == server.name && shown.status == server.status, "{server:?} became {shown:?}");
    Ok(())
}

pub(super) async fn marking_twice_is_ok(ground: &Ground) -> Outcome {
    let server = unmarked(ground, "foreign").await?;
    marking(ground)?.mark(&server.id, &ground.owner).await?;
    ground.past_the_lag().await;
    let once = ground.witness.words(&server.id).await?;
    marking(ground)?.mark(&server.id, &ground.owner).await?;
    let twice = ground.witness.words(&server.id).await?;
    check!(once == twice, "{once:?} became {twice:?}");
    Ok(())
}

pub(super) async fn a_server_of_another_installation_is_not_marked(ground: &Ground) -> Outcome {
    let server = ground.running("theirs").await?;
    let before = ground.witness.words(&server.id).await?;
    let refused = marking(ground)?.mark(&server.id, &ground.neighbour).await;
    let kind = refused.as_ref().err().map(capsule_core::Error::kind);
    check!(kind == Some(ErrorKind::Conflict), "a server of somebody else: {refused:?}");
    check!(ground.witness.words(&server.id).await? == before, "it was changed all the same");
    Ok(())
}

pub(super) async fn marking_a_missing_server_is_not_found(ground: &Ground) -> Outcome {
    let made = ground.one("there").await?;
    let refused = marking(ground)?.mark(&missing(&made.id), &ground.owner).await;
    let kind = refused.as_ref().err().map(capsule_core::Error::kind);
    check!(kind == Some(ErrorKind::NotFound), "a missing server: {refused:?}");
    Ok(())
}
