//! Room for streams in a tunnel, apart for people and for the hub itself.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tunnel_protocol::limits::{HUB_STREAMS, STREAMS};

/// Whose room in a tunnel a stream takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Room {
    /// What people asked for.
    People,
    /// What the hub itself asks, and bounds by itself: how the member is, what it has, and who may what there.
    Hub,
}

/// Both rooms of one tunnel. The bounds are ours; an agent can only allow less.
pub(crate) struct Rooms {
    people: Places,
    hub: Places,
}

struct Places {
    size: usize,
    free: Arc<Semaphore>,
}

impl Rooms {
    /// `allowed` is how many streams the agent takes. The hub's come first: an agent of an earlier version takes fewer.
    pub(crate) fn within(allowed: usize) -> Self {
        let all = allowed.min(STREAMS as usize);
        let hub = all.min(HUB_STREAMS as usize);
        Self { people: Places::new(all - hub), hub: Places::new(hub) }
    }

    /// A place in a room, until it is dropped.
    pub(crate) fn take(&self, room: Room) -> Option<OwnedSemaphorePermit> {
        self.places(room).free.clone().try_acquire_owned().ok()
    }

    /// How many places of a room are taken.
    pub(crate) fn taken(&self, room: Room) -> usize {
        let places = self.places(room);
        places.size - places.free.available_permits()
    }

    fn places(&self, room: Room) -> &Places {
        match room {
            Room::People => &self.people,
            Room::Hub => &self.hub,
        }
    }
}

impl Places {
    fn new(size: usize) -> Self {
        Self { size, free: Arc::new(Semaphore::new(size)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(allowed: usize, people: usize, hub: usize) {
        let rooms = Rooms::within(allowed);
        for (room, size) in [(Room::People, people), (Room::Hub, hub)] {
            let taken: Vec<_> = std::iter::from_fn(|| rooms.take(room)).collect();
            assert_eq!((taken.len(), rooms.taken(room)), (size, size), "{room:?}");
        }
        assert_eq!((rooms.taken(Room::People), rooms.taken(Room::Hub)), (0, 0));
    }

    #[test]
    fn each_has_its_own() {
        check(usize::MAX, 1984, 64);
        check(2048, 1984, 64);
    }

    #[test]
    fn the_hub_comes_first_where_an_agent_takes_less() {
        check(256, 192, 64);
        check(64, 0, 64);
        check(1, 0, 1);
        check(0, 0, 0);
    }
}
