//! The longest wait, close up: each piece of a flow from its sending over its arrival to its
//! delivery.
//!
//! It shows head-of-line blocking: pieces that have arrived and wait for the top one. If only the
//! sender was observed, it shows the piece whose acknowledgement took longest, and those after it.

use super::*;

/// The pieces that are shown, and the number of them before the one that the others wait for.
const ROWS: usize = 28;
const BEFORE: usize = 3;

/// From one row to the next, in pixels.
const PITCH: f64 = 15.0;

/// A piece's times in microseconds: given out, arrived, delivered. With the sender alone the last
/// is the time of its acknowledgement. With the receiver alone there is no first.
#[derive(Clone, Copy, Debug)]
struct Times {
    begins: u64,
    arrives: Option<u64>,
    ends: Option<u64>,
}

impl Times {
    fn of(scene: &Scene, track: &FlowTrack, piece: &Piece) -> Self {
        let delivered = track.delivered_at(piece.offset + piece.len);
        let arrives = piece.frame.arrived;
        Times {
            begins: piece.begins(),
            arrives,
            // A copy that arrives after the bytes came out waits for nothing.
            ends: if scene.sees_arrival() {
                arrives.and_then(|arrived| delivered.map(|delivered| delivered.max(arrived)))
            } else {
                piece.frame.acknowledged
            },
        }
    }

    /// The wait for earlier pieces, or else for the acknowledgement.
    fn wait(&self) -> u64 {
        self.ends.map_or(0, |ends| ends - self.arrives.unwrap_or(self.begins).min(ends))
    }
}

pub fn draw(scene: &Scene) -> String {
    let Some(flow) = scene.flow() else { return String::new() };
    let track = &scene.direction().flows[&flow];
    let mut pieces = scene.pieces(flow);
    pieces.sort_by_key(|piece| (piece.offset, piece.begins()));
    let times: Vec<Times> = pieces.iter().map(|piece| Times::of(scene, track, piece)).collect();
    let Some(worst) =
        (0..pieces.len()).max_by_key(|index| (times[*index].wait(), std::cmp::Reverse(*index)))
    else {
        return String::new();
    };
    let waited = times[worst].wait();
    let rows = rows(&pieces, &times, worst);
    let pieces: Vec<Piece> = rows.iter().map(|index| pieces[*index]).collect();
    let times: Vec<Times> = rows.iter().map(|index| times[*index]).collect();
    let start = times.iter().map(|times| times.begins).min().unwrap_or(0);
    let end = times.iter().filter_map(|times| times.ends.or(times.arrives)).max().unwrap_or(start);
    let margin = (end.saturating_sub(start) / 50).max(50);
    let zero = scene.time.zero;
    let time =
        TimeAxis { span: start.saturating_sub(margin).max(zero.min(start))..end + margin, zero };
    let height = PITCH * pieces.len() as f64 + 4.0;
    let mut plot = Plot::new(&time, height, "The pieces around the longest wait, one a row");
    for (index, (piece, times)) in pieces.iter().zip(&times).enumerate() {
        row(scene, &mut plot, piece, times, 2.0 + index as f64 * PITCH);
    }
    let title = match (scene.sees_sending(), scene.sees_arrival()) {
        (true, false) => "The slowest acknowledgement, close up",
        _ => "The longest wait, close up",
    };
    panel(title, &caption(scene, &pieces, waited), &plot.finish())
}

/// The pieces around the longest wait, in the order of the flow, from a little before the one that
/// was waited for. Pieces that were sent long before or after would make the rest too small to see.
fn rows(pieces: &[Piece], times: &[Times], worst: usize) -> Vec<usize> {
    let cause = cause(pieces, times, worst);
    let begins = times[cause].begins.min(times[worst].begins);
    let ends = times[worst].ends.unwrap_or(begins);
    let window = begins.saturating_sub(ends - begins)..=ends;
    let near = |index: &usize| window.contains(&times[*index].begins);
    (cause.saturating_sub(BEFORE)..pieces.len()).filter(near).take(ROWS).collect()
}

/// The piece whose arrival ended the longest wait.
fn cause(pieces: &[Piece], times: &[Times], worst: usize) -> usize {
    let Some(end) = times[worst].ends else { return worst };
    let released =
        |index: &usize| times[*index].arrives == Some(end) && !late_copy(pieces, times, *index);
    (0..=worst).find(released).unwrap_or(worst)
}

/// Whether all bytes of a piece had arrived in another copy before.
fn late_copy(pieces: &[Piece], times: &[Times], index: usize) -> bool {
    let piece = &pieces[index];
    pieces.iter().zip(times).any(|(other, other_times)| {
        other.offset == piece.offset
            && other.len >= piece.len
            && other_times.arrives < times[index].arrives
            && other_times.arrives.is_some()
    })
}

fn row(scene: &Scene, plot: &mut Plot, piece: &Piece, times: &Times, y: f64) {
    let class = format!("s{}", piece.stripe.0 % 8);
    let again = if piece.again { " again" } else { "" };
    let label = format!("{} {}", if piece.again { "again" } else { "stripe" }, piece.stripe);
    plot.margin(y + 11.0, "tick", &label);
    let place = format!("{} from {}", show_size(piece.len), show_size(piece.offset));
    let at = |time: u64| show_time(scene.since(time));
    let on = format!("{place} on stripe {}{again}:", piece.stripe);
    let begins = at(times.begins);
    let Some(arrives) = times.arrives.or(times.ends) else {
        let title = format!("{on} sent at {begins}, never seen again");
        plot.span("lost", times.begins..plot.time.span.end, y + 2.0, PITCH - 4.0, &title);
        return;
    };
    let title = format!("{on} from {begins} to {}", at(arrives));
    if arrives > times.begins {
        plot.span(&class, times.begins..arrives, y + 2.0, PITCH - 4.0, &title);
    }
    if let Some(ends) = times.ends.filter(|ends| *ends > arrives) {
        let title = format!("{place}: there at {}, came out at {}", at(arrives), at(ends));
        plot.span("wait", arrives..ends, y + 4.0, PITCH - 8.0, &title);
    }
    plot.moment("tip", arrives, y + 1.0..y + PITCH - 1.0);
}

fn caption(scene: &Scene, pieces: &[Piece], waited: u64) -> String {
    let mut text = String::new();
    if scene.sees_sending() {
        let until = if scene.sees_arrival() { "its arrival" } else { "its acknowledgement" };
        text += &key("s0", &format!("a piece from its hand-over to {until}, coloured by stripe"));
        text += " ";
    }
    if pieces.iter().any(|piece| piece.frame.arrived.or(piece.frame.acknowledged).is_none()) {
        text += &key("lost", "never seen again");
        text += " ";
    }
    if scene.sees_arrival() {
        text += &key("wait", "it is there and waits for an earlier one");
        if waited > 0 {
            let _ = write!(text, " The longest wait was {}.", show_time(waited));
        } else {
            text += " No piece, once complete, ever waited for an earlier one.";
        }
    } else {
        let _ = write!(text, " The longest took {}.", show_time(waited));
    }
    let first = show_size(pieces[0].offset);
    let last = pieces.iter().map(|piece| piece.offset + piece.len).max().unwrap_or(0);
    text + &format!(" Rows are in the order of the flow, from {first} to {}.", show_size(last))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::show::picture::lane::{Carries, Frame};
    use striper_core::{FlowId, StripeId};

    #[test]
    fn pieces_from_long_before_and_after_don_t_shrink_the_wait() {
        let carries = Carries::Data { flow: FlowId(1), offset: 0, len: 10, again: false };
        let frame =
            Frame { end: 10, size: 10, carries, sent: None, arrived: None, acknowledged: None };
        let piece = |index: u64| Piece {
            stripe: StripeId(0),
            frame: &frame,
            offset: index * 10,
            len: 10,
            again: false,
        };
        let pieces: Vec<Piece> = (0..5).map(piece).collect();
        let times =
            |begins, arrives, ends| Times { begins, arrives: Some(arrives), ends: Some(ends) };
        // The third is waited for by the fourth; the first and the last are from other times.
        let times = [
            times(100, 140, 140),
            times(9_000, 9_040, 9_040),
            times(9_010, 9_400, 9_400),
            times(9_020, 9_060, 9_400),
            times(90_000, 90_040, 90_040),
        ];
        assert_eq!(cause(&pieces, &times, 3), 2);
        assert_eq!(rows(&pieces, &times, 3), [1, 2, 3]);
    }
}
