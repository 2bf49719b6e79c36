//! Order and progress, under a clock of the test's own.

use super::*;

const QUEUING: Response = Response::Queue { flow: 300, level: 3200 };

fn queues(seats: u64, response: Response) -> Queues<&'static str> {
    Queues::new(Limits { seats, response })
}

fn at(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

const GREEDY: u64 = 0x0123_4567_89ab_cdef;
const MODEST: u64 = 0xfedc_ba98_7654_3210;

#[test]
fn seats_are_all_that_runs() {
    let mut set = queues(2, QUEUING);
    let (first, started) = set.arrive(at(0), GREEDY, 1, "a").unwrap();
    assert_eq!(started, Some("a"));
    assert_eq!(set.arrive(at(0), GREEDY, 1, "b").unwrap().1, Some("b"));
    assert_eq!(set.arrive(at(0), GREEDY, 1, "c").unwrap().1, None);
    assert_eq!(set.leave(at(5), first), ["c"]);
    assert_eq!(set.seats, 2);
}

#[test]
fn a_level_without_queues_rejects() {
    let mut set = queues(1, Response::Reject);
    let (one, _) = set.arrive(at(0), 0, 1, "a").unwrap();
    assert_eq!(set.arrive(at(0), 0, 1, "b"), Err(Why::ConcurrencyLimit));
    assert!(set.leave(at(1), one).is_empty());
    assert!(set.arrive(at(1), 0, 1, "c").unwrap().1.is_some());
}

#[test]
fn queues_are_bounded() {
    let mut set = queues(1, Response::Queue { flow: 3, level: 5 });
    set.arrive(at(0), GREEDY, 1, "runs").unwrap();
    let mut waiting = |flow| (0..100).filter(|_| set.arrive(at(0), flow, 1, "waits").is_ok()).count();
    assert_eq!((waiting(GREEDY), waiting(MODEST)), (3, 2));
    assert_eq!(set.arrive(at(0), 7, 1, "more"), Err(Why::QueueFull));
}

/// Whoever comes after a thousand requests of somebody else runs next.
#[test]
fn the_modest_do_not_wait_for_the_greedy() {
    let mut set = queues(10, QUEUING);
    let mut running = Vec::new();
    let mut refused = 0;
    for _ in 0..1000 {
        match set.arrive(at(0), GREEDY, 1, "greedy") {
            Ok((ticket, Some(_))) => running.push(ticket),
            Ok((_, None)) => {}
            Err(why) => {
                assert_eq!(why, Why::QueueFull);
                refused += 1;
            }
        }
    }
    assert_eq!((running.len(), refused), (10, 1000 - 10 - 300));
    set.arrive(at(100), MODEST, 1, "modest").unwrap();
    let started = set.leave(at(100), running[0]);
    assert_eq!(started, ["modest"], "the first free seat is for who has had none");
}

/// Two flows that always have something waiting get the same number of seats over time.
#[test]
fn busy_flows_share_alike() {
    let mut set = queues(4, QUEUING);
    let mut tickets: HashMap<&str, VecDeque<Ticket>> = HashMap::new();
    for (flow, name, count) in [(0, "a", 300), (1, "b", 40)] {
        for _ in 0..count {
            let (ticket, _) = set.arrive(at(0), flow, 1, name).unwrap();
            tickets.entry(name).or_default().push_back(ticket);
        }
    }
    let mut served: HashMap<&str, usize> = HashMap::new();
    for round in 1..=20 {
        let now = at(round * 10);
        let ended: Vec<(&str, Ticket)> = tickets
            .iter()
            .flat_map(|(name, list): (&&str, &VecDeque<Ticket>)| list.iter().map(move |t| (*name, *t)))
            .filter(|(_, ticket)| set.is_running(*ticket))
            .collect();
        assert_eq!(ended.len(), 4, "no seat is left empty");
        for (name, ticket) in ended {
            set.leave(now, ticket);
            tickets.get_mut(name).unwrap().retain(|t| *t != ticket);
            *served.entry(name).or_default() += 1;
        }
    }
    let (a, b) = (served["a"], served["b"]);
    assert!(a.abs_diff(b) <= 8, "{a} {b}");
}

#[test]
fn a_wide_request_gets_its_turn() {
    let mut set = queues(4, QUEUING);
    let (one, _) = set.arrive(at(0), 0, 3, "three").unwrap();
    set.arrive(at(0), 1, 4, "four").unwrap();
    // There is a free seat, but who came first would never find four.
    let (_, started) = set.arrive(at(1), 0, 1, "narrow").unwrap();
    assert_eq!(started, None);
    assert_eq!(set.leave(at(2), one), ["four"]);
}

#[test]
fn wider_than_the_level_runs_alone() {
    let mut set = queues(2, QUEUING);
    let (wide, started) = set.arrive(at(0), GREEDY, 10, "wide").unwrap();
    assert!(started.is_some());
    assert_eq!(set.arrive(at(0), MODEST, 1, "next").unwrap().1, None);
    assert_eq!(set.leave(at(1), wide), ["next"]);
}

#[test]
fn who_stops_waiting_leaves_no_gap() {
    let mut set = queues(1, QUEUING);
    let (one, _) = set.arrive(at(0), GREEDY, 1, "one").unwrap();
    let (two, _) = set.arrive(at(0), GREEDY, 1, "two").unwrap();
    set.arrive(at(0), GREEDY, 1, "three").unwrap();
    assert!(set.leave(at(1), two).is_empty());
    assert!(set.leave(at(1), two).is_empty(), "once more is nothing");
    assert_eq!(set.leave(at(2), one), ["three"]);
}

#[test]
fn other_limits_hold_at_once() {
    let mut set = queues(1, QUEUING);
    set.arrive(at(0), GREEDY, 1, "one").unwrap();
    set.arrive(at(0), GREEDY, 1, "two").unwrap();
    set.arrive(at(0), MODEST, 1, "three").unwrap();
    assert_eq!(set.reconfigure(at(1), Limits { seats: 2, response: QUEUING }).len(), 1);
    assert_eq!(set.reconfigure(at(1), Limits { seats: 3, response: Response::Reject }).len(), 1);
    assert_eq!(set.arrive(at(2), 0, 1, "four"), Err(Why::ConcurrencyLimit));
}

/// With one seat nobody ever holds more than another: who has had least goes first.
#[test]
fn on_one_seat_the_quick_go_oftener_than_the_slow() {
    let mut set = queues(1, QUEUING);
    let mut tickets = HashMap::new();
    let mut running = set.arrive(at(0), 0, 1, "slow").unwrap().0;
    for _ in 0..20 {
        for (flow, name) in [(0, "slow"), (1, "quick")] {
            let (ticket, _) = set.arrive(at(0), flow, 1, name).unwrap();
            tickets.entry(name).or_insert_with(VecDeque::new).push_back(ticket);
        }
    }
    let (mut now, mut name) = (0, "slow");
    let mut served = HashMap::new();
    for _ in 0..11 {
        now += if name == "slow" { 100 } else { 10 };
        let started = set.leave(at(now), running);
        *served.entry(name).or_insert(0) += 1;
        name = started[0];
        running = tickets.get_mut(name).unwrap().pop_front().unwrap();
    }
    assert_eq!((served["slow"], served["quick"]), (1, 10), "as much time for each");
}
