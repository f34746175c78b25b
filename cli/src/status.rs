//! The status line, as wide as the terminal allows. A client or server shows the rates,
//! congestions and limit of each stripe, and the sums of all. A relay shows the bytes, congestions
//! and state of each leg.

use crate::units;
use striper_core::StripeLimit;

#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct View {
    pub connections: usize,
    /// The times until which they are kept or may go on, if there are any.
    pub limits: Vec<String>,
    /// The reason why no data can be sent, if there is one.
    pub trouble: Option<String>,
    pub stripes: Vec<Stripe>,
}

#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Stripe {
    /// Its place, maybe with its session.
    pub name: String,
    /// Bytes a second to the peer.
    pub up: f64,
    /// Bytes a second from the peer.
    pub down: f64,
    pub congestions: u64,
    pub doubted: bool,
    /// The limit of its rate to the peer.
    pub limit: StripeLimit,
    /// The share of packets that TCP has sent again, from 0 to 1, if it is known.
    pub resent: Option<f64>,
    pub control: Option<String>,
}

/// The line for a terminal of this width: the longest form that fits. The last column stays free,
/// because some terminals break the line there.
pub(crate) fn line(view: &View, columns: usize) -> String {
    let room = columns.saturating_sub(1);
    let up: f64 = view.stripes.iter().map(|stripe| stripe.up).sum();
    let down: f64 = view.stripes.iter().map(|stripe| stripe.down).sum();
    let sum = format!("  ↑{} ↓{}", units::short_rate(up), units::short_rate(down));
    let congestions = view.stripes.iter().map(|stripe| stripe.congestions as usize).sum();
    let count = units::count(view.stripes.len(), "stripe");
    let forms = match &view.trouble {
        Some(trouble) => vec![
            format!("  {count}  {trouble}"),
            format!("  {trouble}"),
            "  no peer".to_owned(),
            String::new(),
        ],
        None => vec![
            format!("{sum} bit/s{}", each(&view.stripes, with_tcp)),
            format!("{sum} bit/s{}", each(&view.stripes, full)),
            format!("{sum}{}", each(&view.stripes, one_rate)),
            format!("{sum}{}", each(&view.stripes, terse)),
            format!("{sum}{}", each(&view.stripes, rate_alone)),
            format!("{sum}  {count}, {}", units::count(congestions, "congestion")),
            format!("{sum}  {count}"),
            sum,
            String::new(),
        ],
    };
    fitting(view.connections, &view.limits, &forms, room)
}

/// The first form that fits behind the number of connections and their limits, or else only behind
/// their number.
fn fitting(connections: usize, limits: &[String], forms: &[String], room: usize) -> String {
    let count = units::count(connections, "connection");
    let limited =
        if limits.is_empty() { count.clone() } else { format!("{count} ({})", limits.join(", ")) };
    let lines = [&limited, &count]
        .into_iter()
        .flat_map(|begin| forms.iter().map(move |form| format!("{begin}{form}")));
    let fitting = lines.into_iter().find(|line| line.chars().count() <= room);
    fitting.unwrap_or_else(|| count.chars().take(room).collect())
}

fn each(stripes: &[Stripe], form: fn(&Stripe) -> String) -> String {
    if stripes.is_empty() {
        return "  no stripe".into();
    }
    stripes.iter().map(form).collect()
}

fn with_tcp(stripe: &Stripe) -> String {
    let resent =
        stripe.resent.map(|share| format!(" r{}", units::percent(share))).unwrap_or_default();
    let control = stripe.control.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
    format!("{}{resent}{control}", full(stripe))
}

fn full(stripe: &Stripe) -> String {
    let (up, down) = (units::short_rate(stripe.up), units::short_rate(stripe.down));
    let state = state(stripe);
    format!("  #{} ↑{up} ↓{down} c{} {state}", stripe.name, stripe.congestions)
}

fn one_rate(stripe: &Stripe) -> String {
    let rate = units::short_rate(stripe.up.max(stripe.down));
    format!("  #{} {rate} c{} {}", stripe.name, stripe.congestions, state(stripe))
}

fn terse(stripe: &Stripe) -> String {
    let rate = units::short_rate(stripe.up.max(stripe.down));
    format!("  #{} {rate} {}", stripe.name, state(stripe))
}

fn rate_alone(stripe: &Stripe) -> String {
    let rate = units::short_rate(stripe.up.max(stripe.down));
    format!("  #{} {rate}{}", stripe.name, doubt(stripe.doubted))
}

/// The letter of its limit, and a mark if it is in doubt.
fn state(stripe: &Stripe) -> String {
    let letter = match stripe.limit {
        StripeLimit::Application => 'a',
        StripeLimit::Receiver => 'p',
        StripeLimit::Window => 'w',
        StripeLimit::Route => 'r',
    };
    format!("{letter}{}", doubt(stripe.doubted))
}

fn doubt(doubted: bool) -> &'static str {
    if doubted { "?" } else { "" }
}

/// The two legs of a relay, over all of its connections.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct LegsView {
    pub connections: usize,
    pub limits: Vec<String>,
    pub half_closed: usize,
    pub near: Leg,
    pub far: Leg,
}

/// One leg of a [`LegsView`]. Bytes and congestions include ended connections, so they never fall.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(crate) struct Leg {
    pub received: u64,
    pub sent: u64,
    pub congestions: u64,
    pub congested: usize,
    pub finished: usize,
    pub ended: usize,
}

pub(crate) fn legs_line(view: &LegsView, columns: usize) -> String {
    let room = columns.saturating_sub(1);
    let LegsView { connections, limits, half_closed, near, far } = view;
    let (both, legs, each): (_, _, [String; 2]) = if *connections == 1 {
        let [near, far] = [near, far].map(flags);
        (String::new(), format!("  near{near} far{far}"), [near, far])
    } else {
        let congested = near.congested + far.congested;
        let each = [near, far].map(|leg| those(&[(leg.congested, "congested")]));
        let both = those(&[(*half_closed, "half-closed")]);
        (both, those(&[(*half_closed, "half-closed"), (congested, "congested")]), each)
    };
    let leg = |name: &str, leg: &Leg, state: &str| {
        let (received, sent) = (units::bytes(leg.received), units::bytes(leg.sent));
        format!("  {name}{state} ↓{received} ↑{sent} c{}", leg.congestions)
    };
    let (sent, received) = (units::bytes(far.sent), units::bytes(near.sent));
    let sum = format!("  ↑{sent} ↓{received} c{}", near.congestions + far.congestions);
    let forms = [
        format!("{both}{}{}", leg("near", near, &each[0]), leg("far", far, &each[1])),
        format!("{legs}{}{}", leg("near", near, ""), leg("far", far, "")),
        format!("{}{}", leg("near", near, ""), leg("far", far, "")),
        format!("{legs}{sum}"),
        sum,
        String::new(),
    ];
    fitting(*connections, limits, &forms, room)
}

/// The state of a leg of one connection: whether it takes data, and whether it may send more.
fn flags(leg: &Leg) -> String {
    let takes = match leg {
        Leg { finished: 1.., .. } => 'x',
        Leg { congested: 1.., .. } => '-',
        _ => 'w',
    };
    let gives = if leg.ended > 0 { 'x' } else { 'r' };
    format!(" {takes}{gives}")
}

/// The numbers of connections in these states, in brackets.
fn those(states: &[(usize, &str)]) -> String {
    let told = states.iter().filter(|(count, _)| *count > 0);
    let told = told.map(|(count, state)| format!("{count} {state}")).collect::<Vec<_>>().join(", ");
    if told.is_empty() { told } else { format!(" ({told})") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn legs(connections: usize) -> LegsView {
        let near =
            Leg { received: 1_200_000, sent: 3_400_000_000, congestions: 12, ..Leg::default() };
        let far = Leg { received: 3_400_000_000, sent: 1_200_000, ..Leg::default() };
        LegsView { connections, limits: Vec::new(), half_closed: 0, near, far }
    }

    #[test]
    fn a_relay_shows_bytes_congestions_and_state_of_each_leg() {
        let mut view = legs(1);
        assert_eq!(
            legs_line(&view, 120),
            "1 connection  near wr ↓1.20 MB ↑3.40 GB c12  far wr ↓3.40 GB ↑1.20 MB c0"
        );
        (view.near.congested, view.near.ended, view.far.finished) = (1, 1, 1);
        assert!(legs_line(&view, 120).contains("near -x "), "{}", legs_line(&view, 120));
        assert!(legs_line(&view, 120).contains("far xr "));
        assert_eq!(legs_line(&view, 60), "1 connection  near -x far xr  ↑1.20 MB ↓3.40 GB c12");
    }

    #[test]
    fn a_relay_counts_congested_and_half_closed_connections() {
        let mut view = legs(3);
        (view.half_closed, view.near.congested, view.far.congested) = (2, 1, 1);
        let legs_alone = "near ↓1.20 MB ↑3.40 GB c12  far ↓3.40 GB ↑1.20 MB c0";
        let both = "3 connections (2 half-closed, 2 congested)";
        let each = "3 connections (2 half-closed)  near (1 congested) ↓1.20 MB ↑3.40 GB c12  \
                    far (1 congested) ↓3.40 GB ↑1.20 MB c0";
        assert_eq!(legs_line(&view, 120), each);
        assert_eq!(legs_line(&view, 100), format!("{both}  {legs_alone}"));
        assert_eq!(legs_line(&view, 80), format!("3 connections  {legs_alone}"));
        assert_eq!(legs_line(&view, 66), format!("{both}  ↑1.20 MB ↓3.40 GB c12"));
        assert_eq!(legs_line(&legs(2), 60), "2 connections  ↑1.20 MB ↓3.40 GB c12");
    }

    fn view(stripes: u64) -> View {
        let stripe = |number: u64| Stripe {
            name: number.to_string(),
            up: 1_206_250.0,
            down: 12_500.0,
            congestions: 12,
            doubted: number == 3,
            limit: if number == 1 { StripeLimit::Route } else { StripeLimit::Window },
            ..Stripe::default()
        };
        View {
            connections: 3,
            limits: Vec::new(),
            trouble: None,
            stripes: (1..=stripes).map(stripe).collect(),
        }
    }

    #[test]
    fn a_wide_terminal_shows_both_rates_congestions_and_limit_of_every_stripe() {
        let two = "3 connections  ↑19.3M ↓200k bit/s  #1 ↑9.65M ↓100k c12 r  #2 ↑9.65M ↓100k c12 w";
        assert_eq!(line(&view(2), 120), two);
        // A stripe in doubt is marked.
        assert!(line(&view(3), 120).ends_with("#3 ↑9.65M ↓100k c12 w?"));
    }

    #[test]
    fn a_wider_terminal_shows_retransmissions_and_congestion_control() {
        let mut view = view(2);
        (view.stripes[1].resent, view.stripes[1].control) = (Some(0.0123), Some("bbr".into()));
        assert!(
            line(&view, 120).ends_with("#1 ↑9.65M ↓100k c12 r  #2 ↑9.65M ↓100k c12 w r1.2% bbr")
        );
        assert!(line(&view, 82).ends_with("#2 ↑9.65M ↓100k c12 w"), "{}", line(&view, 82));
    }

    #[test]
    fn each_limit_has_its_letter() {
        let stripe = |limit| Stripe { limit, ..Stripe::default() };
        assert_eq!(StripeLimit::ALL.map(|limit| state(&stripe(limit))), ["a", "p", "w", "r"]);
    }

    #[test]
    fn a_narrow_terminal_drops_details_first() {
        let sums = "3 connections  ↑19.3M ↓200k";
        let (congestions, states) =
            ("  #1 9.65M c12 r  #2 9.65M c12 w", "  #1 9.65M r  #2 9.65M w");
        assert_eq!(line(&view(2), 60), format!("{sums}{congestions}"));
        assert_eq!(line(&view(2), 52), format!("{sums}{states}"));
        assert_eq!(line(&view(2), 50), format!("{sums}  #1 9.65M  #2 9.65M"));
        assert_eq!(line(&view(64), 80), "3 connections  ↑618M ↓6.40M  64 stripes, 768 congestions");
        assert_eq!(line(&view(64), 46), "3 connections  ↑618M ↓6.40M  64 stripes");
        assert_eq!(line(&view(64), 30), "3 connections  ↑618M ↓6.40M");
        assert_eq!(line(&view(64), 20), "3 connections");
        assert_eq!(line(&view(64), 6), "3 con");
        assert_eq!(line(&view(64), 0), "");
    }

    #[test]
    fn no_line_is_ever_wider_than_the_terminal() {
        let limits = vec!["kept until 12:03:10Z".into(), "may finish until 12:02:40Z".into()];
        let limited = |stripes| View { limits: limits.clone(), ..view(stripes) };
        let troubled = |stripes| View { trouble: Some("refused".into()), ..limited(stripes) };
        for columns in 0..200 {
            let is_narrow = |line: String| line.chars().count() < columns.max(1);
            assert!(is_narrow(legs_line(&legs(2), columns)));
            for stripes in 0..10 {
                for view in [view(stripes), limited(stripes), troubled(stripes)] {
                    assert!(is_narrow(line(&view, columns)), "{view:?} {columns}");
                }
            }
        }
    }

    #[test]
    fn without_a_peer_the_line_has_the_reason_instead_of_rates() {
        let trouble = Some("connection refused".into());
        let mut view = View { connections: 1, trouble, ..View::default() };
        assert_eq!(line(&view, 80), "1 connection  0 stripes  connection refused");
        assert_eq!(line(&view, 36), "1 connection  connection refused");
        assert_eq!(line(&view, 24), "1 connection  no peer");
        view.limits.push("kept until 12:03:10Z".into());
        let kept = "1 connection (kept until 12:03:10Z)";
        assert_eq!(line(&view, 80), format!("{kept}  0 stripes  connection refused"));
        assert_eq!(line(&view, 46), format!("{kept}  no peer"));
        assert_eq!(line(&view, 24), "1 connection  no peer");
        assert_eq!(line(&View::default(), 80), "0 connections  ↑0 ↓0 bit/s  no stripe");
    }

    #[test]
    fn a_stop_shows_the_time_until_which_connections_may_finish() {
        let limits = vec!["may finish until 12:03:10Z".to_owned()];
        let view = View { limits: limits.clone(), ..view(2) };
        let both = "3 connections (may finish until 12:03:10Z)  ↑19.3M ↓200k";
        assert_eq!(line(&view, 82), format!("{both}  #1 9.65M r  #2 9.65M w"));
        assert_eq!(line(&view, 60), both);
        let legs = legs_line(&LegsView { limits, ..legs(2) }, 80);
        assert_eq!(legs, "2 connections (may finish until 12:03:10Z)  ↑1.20 MB ↓3.40 GB c12");
    }
}
