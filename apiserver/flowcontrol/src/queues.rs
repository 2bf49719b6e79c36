//! The queues of one priority level, and who goes next.
//!
//! Pure: time is an argument, and what waits is whatever the caller gives. A
//! free seat goes to the flow that holds fewest seats; among equals to the one
//! that has had fewest seat-seconds. A flow that comes anew, or again, is
//! counted as having had what the last one served had: nobody saves up.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) seats: u64,
    pub(crate) response: Response,
}

/// What happens when all seats are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Response {
    Reject,
    /// So many may wait: of one flow, and in all.
    Queue {
        flow: usize,
        level: usize,
    },
}

/// Why a request was turned away; metrics have a label for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Why {
    QueueFull,
    ConcurrencyLimit,
    TimeOut,
}

impl Why {
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::QueueFull => "queue-full",
            Self::ConcurrencyLimit => "concurrency-limit",
            Self::TimeOut => "time-out",
        }
    }
}

/// Names one request that is in the set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket {
    id: u64,
    flow: u64,
}

struct Waiting<T> {
    id: u64,
    width: u64,
    item: T,
}

struct Running {
    width: u64,
    since: Duration,
}

struct Flow<T> {
    waiting: VecDeque<Waiting<T>>,
    running: usize,
    seats: u64,
    /// Seat-seconds it has had, counted from where it joined.
    used: f64,
}

impl<T> Flow<T> {
    fn is_idle(&self) -> bool {
        self.running == 0 && self.waiting.is_empty()
    }
}

pub(crate) struct Queues<T> {
    limits: Limits,
    /// Those that wait or run.
    flows: HashMap<u64, Flow<T>>,
    running: HashMap<u64, Running>,
    seats: u64,
    waiting: usize,
    waiting_seats: u64,
    /// The most seats that were taken or waited for at once, since it was asked.
    peak: u64,
    /// What the flow served last had had by then.
    level_used: f64,
    next_id: u64,
}

impl<T> Queues<T> {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            flows: HashMap::new(),
            running: HashMap::new(),
            seats: 0,
            waiting: 0,
            waiting_seats: 0,
            peak: 0,
            level_used: 0.0,
            next_id: 0,
        }
    }

    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    /// Takes other limits. Returns those that may start now; those that wait already go on doing so.
    pub(crate) fn reconfigure(&mut self, now: Duration, limits: Limits) -> Vec<T> {
        self.limits = limits;
        self.dispatch(now)
    }

    /// One more request of a flow. Returns it when it may start now.
    pub(crate) fn arrive(&mut self, now: Duration, flow: u64, width: u64, item: T) -> Result<(Ticket, Option<T>), Why> {
        let width = width.max(1);
        // Seats may be free although others wait: one that is too wide for them holds its turn.
        let free = self.waiting == 0 && self.fits(width);
        match self.limits.response {
            _ if free => {}
            Response::Reject => return Err(Why::ConcurrencyLimit),
            Response::Queue { flow: own, level } => {
                let ahead = self.flows.get(&flow).map_or(0, |f| f.waiting.len());
                if ahead >= own || self.waiting >= level {
                    return Err(Why::QueueFull);
                }
            }
        }
        let ticket = Ticket { id: self.next_id, flow };
        self.next_id += 1;
        let joined = self.level_used;
        let entry = self.flows.entry(flow);
        let entry = entry.or_insert_with(|| Flow { waiting: VecDeque::new(), running: 0, seats: 0, used: joined });
        if free {
            self.start(now, ticket, width);
            return Ok((ticket, Some(item)));
        }
        entry.waiting.push_back(Waiting { id: ticket.id, width, item });
        self.waiting += 1;
        self.waiting_seats += width;
        self.peak = self.peak.max(self.seats + self.waiting_seats);
        Ok((ticket, None))
    }

    /// A request ends, or stops waiting. Returns those that may start now.
    pub(crate) fn leave(&mut self, now: Duration, ticket: Ticket) -> Vec<T> {
        let Some(flow) = self.flows.get_mut(&ticket.flow) else { return Vec::new() };
        if let Some(run) = self.running.remove(&ticket.id) {
            self.seats -= run.width;
            flow.running -= 1;
            flow.seats -= run.width;
            flow.used += now.saturating_sub(run.since).as_secs_f64() * run.width as f64;
        } else if let Some(place) = flow.waiting.iter().position(|w| w.id == ticket.id) {
            let gone = flow.waiting.remove(place);
            self.waiting -= 1;
            self.waiting_seats -= gone.map_or(0, |gone| gone.width);
        }
        if flow.is_idle() {
            self.flows.remove(&ticket.flow);
        }
        self.dispatch(now)
    }

    /// The most seats that were wanted at once since this was asked last.
    pub(crate) fn take_peak(&mut self) -> u64 {
        std::mem::replace(&mut self.peak, self.seats + self.waiting_seats)
    }

    pub(crate) fn is_running(&self, ticket: Ticket) -> bool {
        self.running.contains_key(&ticket.id)
    }

    /// A request wider than the level runs alone.
    fn fits(&self, width: u64) -> bool {
        self.seats == 0 || self.seats + width <= self.limits.seats
    }

    fn start(&mut self, now: Duration, ticket: Ticket, width: u64) {
        if let Some(flow) = self.flows.get_mut(&ticket.flow) {
            flow.running += 1;
            flow.seats += width;
            self.level_used = self.level_used.max(flow.used);
        }
        self.seats += width;
        self.peak = self.peak.max(self.seats + self.waiting_seats);
        self.running.insert(ticket.id, Running { width, since: now });
    }

    fn dispatch(&mut self, now: Duration) -> Vec<T> {
        let mut started = Vec::new();
        while self.waiting > 0 {
            let Some((key, width)) = self.next() else { break };
            // Narrower requests do not go past: this one would never find its seats.
            if !self.fits(width) {
                break;
            }
            let Some(head) = self.flows.get_mut(&key).and_then(|f| f.waiting.pop_front()) else { break };
            self.waiting -= 1;
            self.waiting_seats -= width;
            self.start(now, Ticket { id: head.id, flow: key }, width);
            started.push(head.item);
        }
        started
    }

    /// The flow whose turn it is, and how wide its next request is.
    fn next(&self) -> Option<(u64, u64)> {
        let waiting = self.flows.iter().filter_map(|(key, flow)| Some((key, flow, flow.waiting.front()?)));
        let first = waiting.min_by(|(_, a, one), (_, b, other)| {
            a.seats.cmp(&b.seats).then(a.used.total_cmp(&b.used)).then(one.id.cmp(&other.id))
        });
        first.map(|(key, _, head)| (*key, head.width))
    }
}

#[cfg(test)]
mod tests;
