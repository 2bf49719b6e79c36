//! The edge: real time, locks, and requests that wait.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use api_meta::Object;
use prometheus_client::registry::Registry;
use tokio::sync::oneshot;

use crate::configuration::{Configuration, LevelSpec};
use crate::lending::{self, Claim};
use crate::matching::Digest;
use crate::metrics::{self, FlowMetrics, Metrics};
use crate::queues::{Limits, Queues, Ticket, Why};
use crate::retry_after::RetryAfter;

/// The widest a request can be (upstream: `maximumListSeats`), and the part of its level's seats it may take.
const WIDEST: u64 = 10;
const WIDEST_PART: f64 = 0.15;

/// How often seats are lent anew (upstream: `borrowingAdjustmentPeriod`).
pub const LENDING_PERIOD: Duration = Duration::from_secs(10);
/// How slowly a level forgets what it wanted (upstream: `seatDemandSmoothingCoefficient`).
const SMOOTHING: f64 = 0.977;

/// Where the objects come from.
pub trait ConfigurationSource: Send + Sync + 'static {
    /// Changes whenever any of the objects does.
    fn version(&self) -> u64;
    fn flow_schemas(&self) -> Vec<Object>;
    fn priority_levels(&self) -> Vec<Object>;
}

type Waker = oneshot::Sender<()>;

struct Level {
    name: String,
    /// `None` for exempt levels.
    queues: Option<Mutex<Queues<Waker>>>,
    /// How many seats it has wanted, over a longer time.
    wish: Mutex<f64>,
    retry_after: Mutex<RetryAfter>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic in between leaves counts that are whole: each step below ends before the next begins.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Compiled {
    version: u64,
    configuration: Configuration,
    levels: HashMap<String, Arc<Level>>,
    /// For each schema, in their order.
    routes: Vec<Route>,
}

/// Where requests of one schema go.
struct Route {
    level: Arc<Level>,
    level_uid: String,
    metrics: Arc<FlowMetrics>,
}

/// Gives seats to requests.
pub struct FlowControl {
    source: Arc<dyn ConfigurationSource>,
    seats: u64,
    compiled: RwLock<Arc<Compiled>>,
    /// Flows are told apart by a hash that nobody outside can foresee.
    hasher: RandomState,
    born: Instant,
    metrics: Arc<Metrics>,
}

/// A request that was turned away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    pub retry_after_seconds: u64,
    pub flow_schema_uid: String,
    pub priority_level_uid: String,
}

/// A request that runs. Its seats come back when this is dropped.
pub struct Permit {
    pub flow_schema_uid: String,
    pub priority_level_uid: String,
    // Dropped for its effect.
    _held: Running,
}

impl FlowControl {
    /// With `seats` for all requests together.
    pub fn new(source: Arc<dyn ConfigurationSource>, seats: u64, registry: &mut Registry) -> Self {
        let configuration = Configuration::default();
        let empty = Compiled { version: u64::MAX, configuration, levels: HashMap::new(), routes: Vec::new() };
        Self {
            source,
            seats,
            compiled: RwLock::new(Arc::new(empty)),
            hasher: RandomState::new(),
            born: Instant::now(),
            metrics: Arc::new(Metrics::register(registry)),
        }
    }

    fn compiled(&self) -> Arc<Compiled> {
        // The version is read first: objects may be newer than it, never older.
        let version = self.source.version();
        let kept = self.compiled.read().unwrap_or_else(PoisonError::into_inner).clone();
        if kept.version == version {
            return kept;
        }
        let mut slot = self.compiled.write().unwrap_or_else(PoisonError::into_inner);
        if slot.version == version {
            return slot.clone();
        }
        let configuration =
            Configuration::compile(&self.source.flow_schemas(), &self.source.priority_levels(), self.seats);
        let levels = configuration.levels.iter().map(|spec| (spec.name.clone(), self.level(&slot.levels, spec)));
        let levels: HashMap<_, _> = levels.collect();
        // Schemas without their level are left out of the configuration, so there are as many routes as schemas.
        let routes = configuration.schemas.iter().filter_map(|schema| {
            let spec = configuration.levels.iter().find(|spec| spec.name == schema.level)?;
            let level = levels.get(&schema.level)?.clone();
            let metrics = Arc::new(self.metrics.of(&schema.level, &schema.name));
            Some(Route { level, level_uid: spec.uid.clone(), metrics })
        });
        let routes = routes.collect();
        *slot = Arc::new(Compiled { version, configuration, levels, routes });
        slot.clone()
    }

    /// The level as it was, with the limits of now. Who is in a level that goes away ends there undisturbed.
    fn level(&self, before: &HashMap<String, Arc<Level>>, spec: &LevelSpec) -> Arc<Level> {
        let label = metrics::Level { priority_level: spec.name.clone() };
        let seats = spec.limits.map_or(0, |l| l.seats);
        self.metrics.nominal_seats.get_or_create(&label).set(seats.try_into().unwrap_or(i64::MAX));
        let kept = before.get(&spec.name);
        match (kept.and_then(|l| l.queues.as_ref().map(|q| (l, q))), spec.limits) {
            (Some((level, queues)), Some(limits)) => {
                self.reconfigure(queues, limits);
                level.clone()
            }
            _ => Arc::new(Level {
                name: spec.name.clone(),
                queues: spec.limits.map(|limits| Mutex::new(Queues::new(limits))),
                wish: Mutex::default(),
                retry_after: Mutex::default(),
            }),
        }
    }

    fn reconfigure(&self, queues: &Mutex<Queues<Waker>>, limits: Limits) {
        let mut queues = lock(queues);
        if queues.limits() != limits {
            wake(queues.reconfigure(self.born.elapsed(), limits));
        }
    }

    /// Gives seats that levels do not need to those that need more; to be called every [`LENDING_PERIOD`].
    pub fn lend(&self) {
        let compiled = self.compiled();
        let limited = compiled.configuration.levels.iter().filter_map(|spec| {
            let level = compiled.levels.get(&spec.name)?;
            Some((level, level.queues.as_ref()?, spec, spec.limits?))
        });
        let limited: Vec<_> = limited.collect();
        let claims = limited.iter().map(|(level, queues, spec, limits)| {
            let peak = lock(queues).take_peak();
            let mut wish = lock(&level.wish);
            *wish = (peak as f64).max(*wish * SMOOTHING + peak as f64 * (1.0 - SMOOTHING));
            Claim { nominal: limits.seats, lendable: spec.lendable, most: spec.most, peak, wish: *wish }
        });
        let claims: Vec<Claim> = claims.collect();
        for ((level, queues, _, limits), seats) in limited.into_iter().zip(lending::seats(&claims)) {
            let label = metrics::Level { priority_level: level.name.clone() };
            self.metrics.current_seats.get_or_create(&label).set(seats.try_into().unwrap_or(i64::MAX));
            self.reconfigure(queues, Limits { seats, ..limits });
        }
    }

    /// Waits for seats, up to `patience`. `width` says how many the request would like.
    ///
    /// # Errors
    ///
    /// There is no place to wait, or it took too long.
    pub async fn admit(
        &self,
        digest: &Digest<'_>,
        width: impl FnOnce() -> u64,
        patience: Duration,
    ) -> Result<Permit, Refused> {
        let compiled = self.compiled();
        // `catch-all` and its level are always there.
        let found = compiled.configuration.schema_of(digest);
        let found = found.and_then(|at| Some((compiled.configuration.schemas.get(at)?, compiled.routes.get(at)?)));
        let Some((schema, route)) = found else {
            let none = String::new;
            return Err(Refused { retry_after_seconds: 1, flow_schema_uid: none(), priority_level_uid: none() });
        };
        let (level, flow_schema_uid, priority_level_uid) = (&route.level, schema.uid.clone(), route.level_uid.clone());
        let wanted = match &level.queues {
            None => Wanted { flow: 0, width: 1 },
            Some(queues) => {
                let most = ((lock(queues).limits().seats as f64 * WIDEST_PART).ceil() as u64).clamp(1, WIDEST);
                let flow = self.hasher.hash_one((&schema.name, schema.flow(digest)));
                Wanted { flow, width: width().clamp(1, most) }
            }
        };
        match self.run(route, wanted, patience).await {
            Ok(held) => Ok(Permit { flow_schema_uid, priority_level_uid, _held: held }),
            Err(why) => {
                let metrics::Flow { priority_level, flow_schema } = route.metrics.labels.clone();
                let rejection = metrics::Rejection { priority_level, flow_schema, reason: why.label() };
                self.metrics.rejected.get_or_create(&rejection).inc();
                let retry_after_seconds = lock(&level.retry_after).refuse(self.born.elapsed().as_secs());
                Err(Refused { retry_after_seconds, flow_schema_uid, priority_level_uid })
            }
        }
    }

    async fn run(&self, route: &Route, wanted: Wanted, patience: Duration) -> Result<Running, Why> {
        let Route { level, metrics, .. } = route;
        let begun = Instant::now();
        let Some(queues) = &level.queues else {
            return Ok(Running::new(metrics.clone(), None, wanted.width));
        };
        let (wake_up, woken) = oneshot::channel();
        let (ticket, started) = lock(queues).arrive(self.born.elapsed(), wanted.flow, wanted.width, wake_up)?;
        // From here on whatever ends this future gives the place back.
        let place = Place { level: level.clone(), ticket, born: self.born };
        if started.is_none() {
            let waiting = Counted::up(metrics.waiting.clone(), 1);
            let in_time = tokio::time::timeout(patience, woken).await;
            drop(waiting);
            // It may have been given its seats at the last moment.
            let runs = matches!(in_time, Ok(Ok(()))) || lock(queues).is_running(ticket);
            metrics.waits[usize::from(!runs)].observe(begun.elapsed().as_secs_f64());
            if !runs {
                return Err(Why::TimeOut);
            }
        } else {
            metrics.waits[0].observe(0.0);
        }
        Ok(Running::new(metrics.clone(), Some(place), wanted.width))
    }
}

struct Wanted {
    flow: u64,
    width: u64,
}

fn wake(started: Vec<Waker>) {
    for waker in started {
        // One that is gone gives its seats back itself.
        let _ = waker.send(());
    }
}

/// A place in a level, waiting or running.
struct Place {
    level: Arc<Level>,
    ticket: Ticket,
    born: Instant,
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(queues) = &self.level.queues {
            let started = lock(queues).leave(self.born.elapsed(), self.ticket);
            wake(started);
        }
    }
}

/// A gauge that is up as long as this lives.
struct Counted {
    gauge: prometheus_client::metrics::gauge::Gauge,
    by: i64,
}

impl Counted {
    fn up(gauge: prometheus_client::metrics::gauge::Gauge, by: i64) -> Self {
        gauge.inc_by(by);
        Self { gauge, by }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.gauge.dec_by(self.by);
    }
}

struct Running {
    metrics: Arc<FlowMetrics>,
    since: Instant,
    _counted: [Counted; 2],
    _place: Option<Place>,
}

impl Running {
    fn new(metrics: Arc<FlowMetrics>, place: Option<Place>, width: u64) -> Self {
        metrics.dispatched.inc();
        let counted = [
            Counted::up(metrics.executing.clone(), 1),
            Counted::up(metrics.executing_seats.clone(), width.try_into().unwrap_or(i64::MAX)),
        ];
        Self { metrics, since: Instant::now(), _counted: counted, _place: place }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.metrics.executions.observe(self.since.elapsed().as_secs_f64());
    }
}

#[cfg(test)]
mod tests;
