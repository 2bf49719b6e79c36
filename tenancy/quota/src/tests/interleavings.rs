//! Writers that read, count, swap and store, or fail or are killed in between, in every order; and a second one of each.
//!
//! The API server here does what a real one does: it stores a creation only where there is nothing, a change only over the
//! version that it was judged with, and neither later than [`PATIENCE`] after it was let pass.

use proptest::prelude::*;

use super::*;

const LIMIT: i64 = 10;
/// For how long an API server works on a request that was let pass.
const PATIENCE: i64 = 60;
const HOLD: i64 = 90;
const PLACES: [&str; 3] = ["a", "b", "new"];

#[derive(Clone, Debug)]
struct Stored {
    uid: u64,
    version: u64,
    pods: i64,
}

/// What a writer has done so far.
#[derive(Clone, Debug)]
enum Step {
    Idle,
    /// The API server asks.
    Asked,
    /// The status was read.
    Read(u64, Vec<Reservation>),
    /// And then what is stored.
    Listed(u64, Box<Book>),
    /// It was let pass, then.
    Passed(i64),
}

#[derive(Clone, Debug)]
struct Writer {
    step: Step,
    place: usize,
    pods: i64,
    uid: u64,
    old: Option<Stored>,
    /// Whether it puts the namespace `new` into the project, rather than to write a quota.
    joins: bool,
    /// The version of the namespace that it was asked about.
    label: u64,
}

#[derive(Default)]
struct World {
    stored: [Option<Stored>; 3],
    /// Whether `new` belongs to the project.
    joined: bool,
    /// The version of that namespace.
    label: u64,
    /// The status and its version.
    noted: Vec<Reservation>,
    version: u64,
    now: i64,
    next: u64,
}

impl World {
    fn unique(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn label(&mut self, joined: bool) {
        self.joined = joined;
        self.label += 1;
    }

    fn belongs(&self, place: usize) -> bool {
        place < 2 || self.joined
    }

    fn sum(&self) -> i64 {
        (0..3).filter(|place| self.belongs(*place)).filter_map(|place| Some(self.stored[place].as_ref()?.pods)).sum()
    }

    fn holding(place: usize, stored: &Stored) -> Holding {
        let base = holding(PLACES[place], "q", &json!({"pods": stored.pods}));
        Holding { uid: stored.uid.to_string(), version: stored.version.to_string(), ..base }
    }

    fn holdings(&self) -> Vec<Holding> {
        let stored = |place: usize| Some(Self::holding(place, self.stored[place].as_ref()?));
        (0..3).filter_map(stored).collect()
    }

    fn book(&self, reservations: Vec<Reservation>) -> Book {
        let namespaces = (0..3).filter(|place| self.belongs(*place));
        let namespaces = namespaces.map(|place| (PLACES[place].to_owned(), Namespace::default())).collect();
        Book::open("shop", amounts(&json!({"pods": LIMIT})), namespaces, self.holdings(), reservations, later(self.now))
    }

    fn swap(&mut self, version: u64, book: &Book) -> bool {
        if self.version != version {
            return false;
        }
        self.version += 1;
        self.noted = book.reservations().to_vec();
        true
    }
}

impl Writer {
    fn idle() -> Self {
        Self { step: Step::Idle, place: 0, pods: 0, uid: 0, old: None, joins: false, label: 0 }
    }

    fn change(&self, world: &World) -> Change {
        if self.joins {
            let brings = world.stored[2].as_ref().map(|stored| World::holding(2, stored));
            return Change::Join { namespace: "new".into(), holdings: brings.into_iter().collect(), under_way: vec![] };
        }
        let new = Stored { uid: self.uid, version: 0, pods: self.pods };
        let old = self.old.as_ref().map(|old| World::holding(self.place, old));
        Change::Write { new: World::holding(self.place, &new), old }
    }

    fn go_on(&mut self, world: &mut World, choice: u8) {
        self.step = match std::mem::replace(&mut self.step, Step::Idle) {
            Step::Idle => {
                self.joins = choice % 8 == 7 && !world.joined;
                self.label = world.label;
                // Before it belongs to the project, nobody is asked about what is in it.
                let places = if world.joined { 3 } else { 2 };
                (self.place, self.pods) = (usize::from(choice) % places, i64::from(choice / 3 % 8));
                self.old = world.stored[self.place].clone();
                self.uid = self.old.as_ref().map_or_else(|| world.unique(), |old| old.uid);
                Step::Asked
            }
            Step::Asked => Step::Read(world.version, world.noted.clone()),
            Step::Read(version, noted) => Step::Listed(version, Box::new(world.book(noted))),
            Step::Listed(version, mut book) => match book.reserve(&self.change(world), later(world.now + HOLD)) {
                Err(_) => Step::Idle,
                Ok(false) => Step::Passed(world.now),
                Ok(true) if world.swap(version, &book) => Step::Passed(world.now),
                Ok(true) => Step::Asked,
            },
            Step::Passed(at) => {
                // A failure, or the end of the process, is one choice of four.
                if world.now - at <= PATIENCE && !choice.is_multiple_of(4) {
                    self.store(world);
                }
                Step::Idle
            }
        };
    }

    fn store(&self, world: &mut World) {
        if self.joins {
            if self.label == world.label {
                world.label(true);
            }
            return;
        }
        let same = match (&self.old, &world.stored[self.place]) {
            (None, None) => true,
            (Some(old), Some(now)) => old.uid == now.uid && old.version == now.version,
            _ => false,
        };
        if same {
            let version = world.unique();
            world.stored[self.place] = Some(Stored { uid: self.uid, version, pods: self.pods });
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn a_project_never_has_more_than_it_may(steps in proptest::collection::vec((0_u8..7, any::<u8>()), 1..200)) {
        let mut world = World::default();
        let brought = world.unique();
        world.stored[2] = Some(Stored { uid: brought, version: 0, pods: 3 });
        let mut writers = [(); 4].map(|()| Writer::idle());
        let mut recount: Option<(u64, Vec<Reservation>, Option<Book>)> = None;
        for (actor, choice) in steps {
            match actor {
                0..=3 => writers[usize::from(actor)].go_on(&mut world, choice),
                4 => recount = match recount.take() {
                    None => Some((world.version, world.noted.clone(), None)),
                    Some((version, noted, None)) => Some((version, noted.clone(), Some(world.book(noted)))),
                    Some((version, _, Some(book))) => {
                        world.swap(version, &book);
                        None
                    }
                },
                5 => world.now += i64::from(choice % 40),
                _ => match choice % 3 {
                    0 => world.stored[usize::from(choice) % 2] = None,
                    // The namespace leaves the project, whatever is under way in it.
                    1 => world.label(false),
                    // Outside of it nobody is asked, unless the namespace is on its way in.
                    _ => {
                        let joins = |writer: &Writer| writer.joins && !matches!(writer.step, Step::Idle);
                        let noted = world.noted.iter().any(|noted| noted.awaited == Awaited::Joining);
                        if !world.joined && !noted && !writers.iter().any(joins) {
                            let version = world.unique();
                            let stored = world.stored[2].take().map_or_else(|| world.unique(), |stored| stored.uid);
                            world.stored[2] = Some(Stored { uid: stored, version, pods: i64::from(choice / 3 % 8) });
                        }
                    }
                },
            }
            prop_assert!(world.sum() <= LIMIT, "{} after {actor} {choice}", world.sum());
        }
        // When nothing is under way any more, what is used is what is there.
        world.now += HOLD;
        let book = world.book(world.noted.clone());
        prop_assert_eq!(book.used(), amounts(&json!({"pods": world.sum()})));
        prop_assert!(book.reservations().is_empty());
    }

    #[test]
    fn sums_agree_with_plain_arithmetic(each in proptest::collection::vec((0_usize..2, 0_u32..2_000_000, 0_u32..5000), 0..20)) {
        let limits = json!({"requests.cpu": "1", "requests.memory": "1Gi"});
        let holdings: Vec<Holding> = each.iter().enumerate().map(|(n, (place, milli, mebi))| {
            let hard = json!({"requests.cpu": format!("{milli}m"), "requests.memory": format!("{mebi}Mi"), "pods": n});
            holding(PLACES[*place], &format!("q{n}"), &hard)
        }).collect();
        let milli: u64 = each.iter().map(|(_, milli, _)| u64::from(*milli)).sum();
        let mebi: u64 = each.iter().map(|(_, _, mebi)| u64::from(*mebi)).sum();
        let expect = json!({"requests.cpu": format!("{milli}m"), "requests.memory": format!("{mebi}Mi")});
        prop_assert_eq!(project(&limits, &holdings, Vec::new(), NOW).used(), amounts(&expect));
    }
}
