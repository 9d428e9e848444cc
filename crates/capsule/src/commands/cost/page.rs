//! What servers cost as one page: charts as SVG, and the numbers that they show as tables. It loads nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use capsule_core::{Currency, Money, MoneyError};
use capsule_engine::budget::Standing;
use capsule_engine::ledger::{Account, By, Group, Purse, summary};
use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};

use super::{Day, purse};

/// At most so many days are drawn: the last ones.
const DAYS: i32 = 92;
/// Of a chart, in its own units.
const WIDTH: i32 = 920;
const HEIGHT: i32 = 200;
/// How many servers are named.
const TOP: usize = 10;

/// What the page is made of.
pub(super) struct Page<'a> {
    pub(super) accounts: &'a [Account],
    pub(super) groups: &'a [Group],
    pub(super) total: &'a (Purse, Purse),
    /// Until now.
    pub(super) charged: &'a [Day<'a>],
    /// Until the month's end.
    pub(super) days: &'a [Day<'a>],
    pub(super) budgets: &'a [Standing],
    pub(super) title: &'a str,
    pub(super) since: Option<Date>,
    pub(super) now: Timestamp,
    pub(super) today: Date,
    /// The last day of this month.
    pub(super) last: Date,
}

/// The page.
///
/// # Errors
/// [`MoneyError`].
pub(super) fn page(page: &Page<'_>) -> Result<String, MoneyError> {
    let providers: Vec<&str> =
        page.days.iter().map(|day| day.provider()).collect::<BTreeSet<_>>().into_iter().collect();
    let currencies: BTreeSet<Currency> = page.days.iter().map(|day| day.amount.currency()).collect();
    let mut html = String::from(HEAD);
    let at = page.now.strftime("%Y-%m-%d %H:%M UTC");
    let since = page.since.map(|since| format!(" What was charged before {since} is left out.")).unwrap_or_default();
    push(
        &mut html,
        format_args!(
            "<h1>What your servers cost</h1>\n<p class=\"note\">Reckoned on {at}, forecast until the end of {}. Without tax, traffic and what was added by hand.{since}</p>\n",
            page.last
        ),
    );
    html.push_str("<section class=\"figures\">\n");
    figure(&mut html, "So far", &page.total.0);
    figure(&mut html, "By the month's end", &page.total.1);
    let living: usize = page.accounts.iter().filter(|account| account.record.gone_at.is_none()).count();
    push(&mut html, format_args!("<div><span>Servers now</span><b>{living}</b></div>\n</section>\n"));
    for currency in &currencies {
        chart(&mut html, page, *currency, &providers)?;
    }
    if currencies.is_empty() {
        html.push_str("<p>Nothing was charged yet.</p>\n");
    }
    table(&mut html, page.title, "groups", page.groups, Some(page.total));
    let mut servers = summary(page.accounts, &By::Server, page.since, page.now)?;
    servers.retain(|group| group.forecast.amounts().next().is_some());
    // Amounts of different currencies are not compared: those of the first one come first.
    servers.sort_by_key(|group| {
        let dearest = group.forecast.amounts().next();
        (dearest.map(|amount| amount.currency()), dearest.map(|amount| std::cmp::Reverse(amount.amount())))
    });
    let mut named: BTreeMap<Option<Currency>, usize> = BTreeMap::new();
    servers.retain(|group| {
        let count = named.entry(group.forecast.amounts().next().map(|amount| amount.currency())).or_default();
        *count += 1;
        *count <= TOP
    });
    table(
        &mut html,
        if currencies.len() > 1 { "Top ten servers of each currency" } else { "Top ten servers" },
        "servers",
        &servers,
        None,
    );
    budgets(&mut html, page.budgets);
    numbers(&mut html, page, &providers, &currencies)?;
    html.push_str("</main>\n</body>\n</html>\n");
    Ok(html)
}

/// Bars of days, a piece for each provider; what is not yet is pale.
fn chart(html: &mut String, page: &Page<'_>, currency: Currency, providers: &[&str]) -> Result<(), MoneyError> {
    let first = page.days.iter().filter(|day| day.amount.currency() == currency).map(|day| day.day).min();
    let earliest = page.last.checked_sub((DAYS - 1).days()).unwrap_or(page.last);
    let first = first.unwrap_or(page.last).max(earliest);
    let dates: Vec<Date> = first.series(1.day()).take_while(|day| *day <= page.last).collect();
    let (charged, costs) = (by_day(page.charged, currency)?, by_day(page.days, currency)?);
    let sum = |day: &Date| {
        let of_day = providers.iter().filter_map(|provider| costs.get(&(*day, *provider)));
        of_day.into_iter().try_fold(Money::zero(currency), |sum, amount| sum.checked_add(*amount))
    };
    let sums = dates.iter().map(sum).collect::<Result<Vec<_>, _>>()?;
    let most = sums.iter().max_by_key(|amount| amount.amount()).copied().unwrap_or(Money::zero(currency));
    if most.amount().is_zero() {
        return Ok(());
    }
    let count = i32::try_from(dates.len()).unwrap_or(DAYS).max(1);
    let (left, base) = (70, HEIGHT + 14);
    push(
        html,
        format_args!(
            "<section>\n<h2>Each day in {currency}</h2>\n<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"Cost of each day in {currency} by provider\">\n",
            left + WIDTH + 10,
            base + 26
        ),
    );
    for quarter in 0..=4 {
        let y = base - HEIGHT * quarter / 4;
        let label = most.checked_mul(u32::try_from(quarter).unwrap_or(0))?.checked_div(4u32)?;
        push(
            html,
            format_args!(
                "<line x1=\"{left}\" x2=\"{}\" y1=\"{y}\" y2=\"{y}\"/><text x=\"{}\" y=\"{}\" class=\"y\">{:.2}</text>\n",
                left + WIDTH,
                left - 8,
                y + 4,
                label.amount().round_dp(2)
            ),
        );
    }
    let every = (count + 9) / 10;
    for (index, day) in (0..).zip(&dates) {
        let (x, next) = (left + WIDTH * index / count, left + WIDTH * (index + 1) / count);
        let (width, mut top) = ((next - x - 1).clamp(1, 36), 0);
        let x = x + (next - x - width) / 2;
        let mut so_far = Money::zero(currency);
        for (provider, amount, is_due) in pieces(page, *day, providers, &charged, &costs)? {
            so_far = so_far.checked_add(amount)?;
            // The pieces add up, since each ends where the sum so far does.
            let height = units(so_far, most)?;
            let name = escape(providers[provider]);
            push(
                html,
                format_args!(
                    "<rect x=\"{x}\" y=\"{}\" width=\"{width}\" height=\"{}\" class=\"p{}{}\"><title>{day} {name}: {amount:.2}{}</title></rect>\n",
                    base - height,
                    height - top,
                    provider % 8,
                    if is_due { " due" } else { "" },
                    if is_due { " (forecast)" } else { "" }
                ),
            );
            top = height;
        }
        if index % every == 0 {
            push(
                html,
                format_args!(
                    "<text x=\"{}\" y=\"{}\" class=\"x\">{}</text>\n",
                    x + width / 2,
                    base + 18,
                    day.strftime("%b %-d")
                ),
            );
        }
    }
    html.push_str("</svg>\n<p class=\"legend\">");
    for (n, provider) in providers.iter().enumerate() {
        if costs.keys().any(|(day, name)| name == provider && *day >= first) {
            push(html, format_args!("<span><i class=\"p{}\"></i>{}</span>", n % 8, escape(provider)));
        }
    }
    html.push_str("<span class=\"note\">pale: forecast</span></p>\n</section>\n");
    Ok(())
}

/// What a day's bar is made of, from the bottom: provider, amount, and whether that is not charged yet. Today it is both:
/// what is charged below what is to come.
fn pieces(
    page: &Page<'_>,
    day: Date,
    providers: &[&str],
    charged: &Costs<'_>,
    costs: &Costs<'_>,
) -> Result<Vec<(usize, Money, bool)>, MoneyError> {
    let (mut done, mut due) = (Vec::new(), Vec::new());
    for (index, provider) in providers.iter().enumerate() {
        let Some(amount) = costs.get(&(day, *provider)).copied() else { continue };
        match charged.get(&(day, *provider)).copied() {
            _ if day < page.today => done.push((index, amount, false)),
            Some(charged) if day == page.today => {
                done.push((index, charged, false));
                let rest = amount.checked_sub(charged)?;
                due.extend(
                    (!rest.amount().is_sign_negative() && !rest.amount().is_zero()).then_some((index, rest, true)),
                );
            }
            _ => due.push((index, amount, true)),
        }
    }
    done.append(&mut due);
    Ok(done)
}

/// How high an amount is where the most is as high as the chart.
fn units(amount: Money, most: Money) -> Result<i32, MoneyError> {
    let height = amount.checked_mul(u32::try_from(HEIGHT).unwrap_or(0))?.checked_div(most.amount())?;
    Ok(i32::try_from(height.round(0).amount()).unwrap_or(0).clamp(0, HEIGHT))
}

/// What a provider's servers cost on a day, in one currency.
type Costs<'a> = BTreeMap<(Date, &'a str), Money>;

fn by_day<'a>(days: &'a [Day<'_>], currency: Currency) -> Result<Costs<'a>, MoneyError> {
    let mut costs = Costs::new();
    for day in days.iter().filter(|day| day.amount.currency() == currency) {
        let sum = costs.entry((day.day, day.provider())).or_insert(Money::zero(currency));
        *sum = sum.checked_add(day.amount)?;
    }
    Ok(costs)
}

fn figure(html: &mut String, name: &str, amounts: &Purse) {
    push(html, format_args!("<div><span>{name}</span><b>{}</b></div>\n", escape(&purse(amounts))));
}

/// Groups, with their exact amounts beside what is shown.
fn table(html: &mut String, title: &str, id: &str, groups: &[Group], total: Option<&(Purse, Purse)>) {
    if groups.is_empty() {
        return;
    }
    push(
        html,
        format_args!(
            "<section>\n<h2>{0}</h2>\n<table id=\"{id}\">\n<thead><tr><th></th><th>Servers</th><th>Living</th><th>So far</th><th>By the month's end</th></tr></thead>\n<tbody>\n",
            escape(title)
        ),
    );
    for group in groups {
        push(
            html,
            format_args!(
                "<tr data-key=\"{0}\"><th>{0}</th><td>{1}</td><td>{2}</td>",
                escape(&group.key),
                group.servers,
                group.living
            ),
        );
        amounts(html, "actual", &group.actual);
        amounts(html, "forecast", &group.forecast);
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody>\n");
    if let Some((actual, forecast)) = total {
        html.push_str("<tfoot><tr data-key=\"total\"><th>total</th><td></td><td></td>");
        amounts(html, "actual", actual);
        amounts(html, "forecast", forecast);
        html.push_str("</tr></tfoot>\n");
    }
    html.push_str("</table>\n</section>\n");
    let unpriced: usize = groups.iter().map(|group| group.unpriced).sum();
    if unpriced > 0 && total.is_some() {
        push(
            html,
            format_args!("<p class=\"note\">{unpriced} servers have no known price and are not in the sums.</p>\n"),
        );
    }
}

/// A cell, whose attributes have every amount in full.
fn amounts(html: &mut String, what: &str, amounts: &Purse) {
    push(html, format_args!("<td class=\"{what}\""));
    for amount in amounts.amounts() {
        push(html, format_args!(" data-{}=\"{}\"", amount.currency().code().to_ascii_lowercase(), amount.amount()));
    }
    push(html, format_args!(">{}</td>", escape(&purse(amounts))));
}

fn budgets(html: &mut String, standings: &[Standing]) {
    if standings.is_empty() {
        return;
    }
    html.push_str("<section>\n<h2>Budgets</h2>\n<table id=\"budgets\">\n<thead><tr><th></th><th>Scope</th><th>Limit</th><th>This month</th><th>A full month</th><th>Remains</th><th></th></tr></thead>\n<tbody>\n");
    for Standing { budget, figures } in standings {
        push(
            html,
            format_args!(
                "<tr data-key=\"{0}\"><th>{0}</th><td>{1}</td><td>{2:.2}</td>",
                escape(&budget.name),
                escape(&budget.scope.to_string()),
                budget.monthly
            ),
        );
        match figures {
            Ok(figures) => {
                let share =
                    figures.this_month.checked_mul(100u32).and_then(|share| share.checked_div(budget.monthly.amount()));
                let share = share.ok().and_then(|share| i32::try_from(share.round(0).amount()).ok()).unwrap_or(100);
                push(
                    html,
                    format_args!(
                        "<td>{0:.2}</td><td>{1:.2}</td><td>{2:.2}</td><td><svg viewBox=\"0 0 100 8\" class=\"meter\" role=\"img\" aria-label=\"{share} %\"><rect width=\"100\" height=\"8\" class=\"back\"/><rect width=\"{3}\" height=\"8\" class=\"{4}\"/></svg></td></tr>\n",
                        figures.this_month,
                        figures.full_month,
                        figures.remaining,
                        share.clamp(0, 100),
                        if figures.warning.is_some() { "over" } else { "p0" }
                    ),
                );
            }
            Err(error) => {
                push(html, format_args!("<td colspan=\"4\" class=\"note\">{}</td></tr>\n", escape(error.message())));
            }
        }
    }
    html.push_str("</tbody>\n</table>\n</section>\n");
}

/// What the charts show, as numbers.
fn numbers(
    html: &mut String,
    page: &Page<'_>,
    providers: &[&str],
    currencies: &BTreeSet<Currency>,
) -> Result<(), MoneyError> {
    for currency in currencies {
        let costs = by_day(page.days, *currency)?;
        let dates: BTreeSet<Date> = costs.keys().map(|(day, _)| *day).collect();
        let columns: Vec<&str> =
            providers.iter().copied().filter(|p| costs.keys().any(|(_, other)| other == p)).collect();
        push(
            html,
            format_args!(
                "<details>\n<summary>The numbers of each day in {currency}</summary>\n<table>\n<thead><tr><th>Day</th>"
            ),
        );
        columns.iter().for_each(|column| push(html, format_args!("<th>{}</th>", escape(column))));
        html.push_str("</tr></thead>\n<tbody>\n");
        for day in dates {
            let is_due = if day >= page.today { " class=\"note\"" } else { "" };
            let until = if day == page.today { ", until its end" } else { "" };
            push(html, format_args!("<tr{is_due}><th>{day}{until}</th>"));
            for column in &columns {
                let amount = costs.get(&(day, *column)).map(|amount| format!("{amount:.2}")).unwrap_or_default();
                push(html, format_args!("<td>{amount}</td>"));
            }
            html.push_str("</tr>\n");
        }
        html.push_str("</tbody>\n</table>\n</details>\n");
    }
    Ok(())
}

fn push(html: &mut String, text: std::fmt::Arguments<'_>) {
    html.write_fmt(text).expect("a string takes all that is written");
}

/// Text as text, in elements and in quoted attributes.
fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}

const HEAD: &str = r#"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>What your servers cost</title>
<style>
:root { --text: #1b2330; --soft: #647084; --line: #dde2ea; --back: #f5f7fa; --card: #fff; --over: #d64545;
  --p0: #3b6fd4; --p1: #e08a1e; --p2: #2f9e7a; --p3: #a34fb8; --p4: #c94f6d; --p5: #4fa3c7; --p6: #8a9a2b; --p7: #7b6ad8; }
@media (prefers-color-scheme: dark) { :root { --text: #e6eaf1; --soft: #96a1b4; --line: #333c4a; --back: #12161d; --card: #1b212b; --over: #ef6b6b;
  --p0: #6b9bf2; --p1: #f0a94e; --p2: #55c29d; --p3: #c883da; --p4: #e57f98; --p5: #7cc4e4; --p6: #b4c255; --p7: #a497f0; } }
body { margin: 0; background: var(--back); color: var(--text); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1040px; margin: 0 auto; padding: 24px 20px 60px; }
h1 { font-size: 26px; margin: 8px 0 0; } h2 { font-size: 17px; margin: 0 0 12px; }
section, details { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 16px 20px; margin: 16px 0; overflow-x: auto; }
summary { cursor: pointer; } details table { margin-top: 12px; }
.note { color: var(--soft); } .figures { display: flex; flex-wrap: wrap; gap: 12px 48px; }
.figures span { display: block; color: var(--soft); } .figures b { font-size: 22px; font-variant-numeric: tabular-nums; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: 6px 0 6px 20px; text-align: right; border-top: 1px solid var(--line); white-space: nowrap; font-weight: normal; }
th:first-child { text-align: left; padding-left: 0; white-space: normal; overflow-wrap: anywhere; }
thead th { color: var(--soft); border-top: 0; } tfoot th, tfoot td { font-weight: 600; }
svg { width: 100%; height: auto; display: block; } svg text { fill: var(--soft); font-size: 12px; } .meter { width: 110px; display: inline-block; }
.y { text-anchor: end; } .x { text-anchor: middle; } line { stroke: var(--line); } .due { opacity: .4; } .back { fill: var(--line); } .over { fill: var(--over); }
.legend { margin: 10px 0 0; display: flex; flex-wrap: wrap; gap: 4px 20px; } .legend i { display: inline-block; width: 11px; height: 11px; border-radius: 3px; margin-right: 7px; }
.p0 { fill: var(--p0); background: var(--p0); } .p1 { fill: var(--p1); background: var(--p1); } .p2 { fill: var(--p2); background: var(--p2); } .p3 { fill: var(--p3); background: var(--p3); }
.p4 { fill: var(--p4); background: var(--p4); } .p5 { fill: var(--p5); background: var(--p5); } .p6 { fill: var(--p6); background: var(--p6); } .p7 { fill: var(--p7); background: var(--p7); }
</style>
</head>
<body>
<main>
"#;

#[cfg(test)]
mod tests;
